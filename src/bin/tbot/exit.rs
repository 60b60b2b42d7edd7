//! How a run ends: every way it can fail, and the one function that maps a failure to an exit status.

use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::styling::Style;
use tbot::agent::internal::SshProxyError;
use tbot::agent::{AgentError, DestinationError, Hint, IdentityFileError, NotUtf8, error_chain};
use tbot::config::GoDuration;
use tbot::untrusted::escape;
use tbot::yaml::EmitError;

use crate::cli;

/// The exit status of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ExitStatus {
    Success = 0,
    /// Failed at run time.
    Failed = 1,
    /// Wrong usage, or a file that cannot be read.
    Usage = 2,
    /// The configuration is invalid.
    Invalid = 3,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// An error from clap, or its help, which is an error to clap as well.
    #[error("{0}")]
    CommandLine(#[from] clap::Error),
    /// A flag or variable has a value that cannot be used.
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Variable(#[from] NotUtf8),
    #[error("cannot read {}", escape(.name))]
    Unreadable { name: String, source: io::Error },
    /// The directory has no identity file.
    #[error("{} has no credentials", escape(&.directory.to_string_lossy()))]
    NoIdentity { directory: PathBuf },
    /// The file is not a valid identity file.
    #[error("cannot use {}", escape(&.path.to_string_lossy()))]
    Identity {
        path: PathBuf,
        #[source]
        error: IdentityFileError,
    },
    #[error("cannot run {}", escape(.program))]
    Tsh {
        program: String,
        #[source]
        error: io::Error,
    },
    #[error(transparent)]
    SshProxy(Box<SshProxyError>),
    #[error("cannot create a key pair")]
    Keypair(#[source] AgentError),
    /// `tbot init` failed.
    #[error("cannot prepare {}", escape(.directory))]
    Prepare {
        directory: String,
        #[source]
        error: DestinationError,
    },
    #[error("cannot write {}", escape(.name))]
    Unwritable { name: String, source: io::Error },
    /// `tbot install` would replace a unit.
    #[error("{} exists and differs", escape(&.path.to_string_lossy()))]
    UnitDiffers { path: PathBuf },
    /// The configuration has a value that YAML cannot represent.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// `tbot wait` has waited long enough.
    #[error("not ready after {timeout}")]
    NotReady {
        timeout: GoDuration,
        #[source]
        reason: Box<dyn Error + Send + Sync>,
    },
    #[error("the agent has no service with this name, or no /wait")]
    NothingToWaitFor,
    /// The request that submits the event cannot be built.
    #[error("cannot build the request")]
    Request { source: Box<dyn Error + Send + Sync>, hint: Option<Hint> },
    /// The failure has already been reported to the user.
    #[error("failed")]
    Reported(ExitStatus),
    /// Writing to standard output failed.
    #[error("cannot write the output")]
    Output(#[from] io::Error),
    /// A part of the program itself is broken, such as the embedded declarations of the event.
    #[error("this build of tbot is broken")]
    Build(#[source] Box<dyn Error + Send + Sync>),
    /// The system refused something that every process needs.
    #[error("cannot set up the process")]
    Process(#[source] io::Error),
}

impl Failure {
    /// Returns what the user can do.
    fn hint(&self) -> Option<Hint> {
        let hint = match self {
            Self::Variable(error) => return Some(error.hint()),
            Self::Identity { error, .. } => return Some(error.hint()),
            Self::Request { hint, .. } => return hint.clone(),
            Self::SshProxy(error) => return error.hint(),
            Self::Keypair(error) => return error.hint(),
            Self::Prepare { error, .. } => return error.hint(),
            Self::Tsh { .. } => "install tsh, or set TSH to its path",
            Self::Emit(EmitError::Ambiguous) => {
                "if it has the key `<<`, rename that key; if a string contains U+2028 or U+2029, remove the character"
            }
            Self::NoIdentity { .. } => "use the directory of an output that tbot has written",
            Self::UnitDiffers { .. } => "to replace it, add --force",
            Self::NothingToWaitFor => "check --service, and the version of the agent",
            _ => return None,
        };
        Some(hint.into())
    }

    const fn status(&self) -> ExitStatus {
        match self {
            Self::CommandLine(_)
            | Self::Usage(_)
            | Self::Variable(_)
            | Self::Request { .. }
            | Self::NoIdentity { .. }
            | Self::Unreadable { .. } => ExitStatus::Usage,
            Self::Reported(status) => *status,
            Self::Keypair(_) | Self::Prepare { .. } => ExitStatus::Failed,
            Self::Identity { .. }
            | Self::SshProxy(_)
            | Self::Tsh { .. }
            | Self::UnitDiffers { .. }
            | Self::NotReady { .. }
            | Self::NothingToWaitFor
            | Self::Output(_)
            | Self::Build(_)
            | Self::Process(_)
            | Self::Unwritable { .. }
            | Self::Emit(_) => ExitStatus::Failed,
        }
    }
}

/// Whether help and errors are coloured, by stream.
#[derive(Clone, Copy)]
pub(crate) struct Colours {
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
}

/// Flushes the output, reports the failure unless that has been done, and returns the exit status.
pub(crate) fn finish(
    result: Result<(), Failure>,
    colours: Colours,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> ExitCode {
    ExitCode::from(settle(result, colours, stdout, stderr) as u8)
}

fn settle(
    result: Result<(), Failure>,
    colours: Colours,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> ExitStatus {
    let result = match result {
        // clap returns help and version as errors.
        Err(Failure::CommandLine(help)) if !help.use_stderr() => {
            stdout.write_all(rendered(&help, colours.stdout).as_bytes()).map_err(Failure::from)
        }
        result => result,
    };
    let result = match (result, stdout.flush()) {
        // The report did not reach the user.
        (Ok(()), Err(error)) => Err(Failure::Output(error)),
        (Err(Failure::Reported(_)), Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Output(error))
        }
        (result, _) => result,
    };
    match result {
        Ok(()) => ExitStatus::Success,
        Err(failure) => report(&failure, colours, stderr),
    }
}

/// Renders an error or the help of clap.
fn rendered(error: &clap::Error, colour: bool) -> String {
    let text = error.render();
    if colour { text.ansi().to_string() } else { text.to_string() }
}

/// Reports a failure. Errors in writing the report are ignored: the exit status still signals the failure.
fn report(failure: &Failure, colours: Colours, stderr: &mut dyn Write) -> ExitStatus {
    match failure {
        // The reader closed the pipe (`tbot schema config | head`), which is not a failure.
        Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => return ExitStatus::Success,
        Failure::Reported(_) => {}
        Failure::CommandLine(error) => {
            let _ = stderr.write_all(rendered(error, colours.stderr).as_bytes());
        }
        failure => {
            let hint = failure.hint().map(|hint| format!("hint: {hint}\n")).unwrap_or_default();
            let message = error_chain(failure);
            let style = if colours.stderr { *cli::STYLES.get_error() } else { Style::new() };
            let _ = write!(stderr, "{style}error:{style:#} {message}\n{hint}");
        }
    }
    failure.status()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    use tbot::agent::Environment;

    use super::*;

    const PLAIN: Colours = Colours { stdout: false, stderr: false };

    fn reported(failure: &Failure) -> (ExitStatus, String) {
        let mut stderr = Vec::new();
        let status = report(failure, PLAIN, &mut stderr);
        (status, String::from_utf8(stderr).unwrap())
    }

    #[test]
    fn every_failure_has_its_status_and_is_reported_once() {
        let environment: Environment = [("X", OsStr::from_bytes(b"\xff"))].into_iter().collect();
        let not_utf8 = environment.get_utf8("X").unwrap_err();
        let io = io::Error::from;
        let unreadable =
            Failure::Unreadable { name: "tbot.yaml".to_owned(), source: io(io::ErrorKind::NotFound) };
        assert_eq!(
            reported(&unreadable),
            (ExitStatus::Usage, "error: cannot read tbot.yaml: entity not found\n".to_owned())
        );
        assert_eq!(reported(&Failure::Usage("no".to_owned())), (ExitStatus::Usage, "error: no\n".to_owned()));
        assert_eq!(reported(&Failure::Variable(not_utf8)).0, ExitStatus::Usage);
        assert_eq!(reported(&Failure::Reported(ExitStatus::Invalid)), (ExitStatus::Invalid, String::new()));
        assert_eq!(reported(&Failure::Output(io(io::ErrorKind::StorageFull))).0, ExitStatus::Failed);
        assert_eq!(
            reported(&Failure::Output(io(io::ErrorKind::BrokenPipe))),
            (ExitStatus::Success, String::new())
        );
    }

    #[test]
    fn colours_do_not_change_the_text() {
        let command = || clap::Command::new("tbot").arg(clap::Arg::new("a").long("a"));
        let errors: [fn(clap::Command) -> Failure; 2] = [
            |command| command.try_get_matches_from(["tbot", "--b"]).unwrap_err().into(),
            |_| Failure::Usage("no".to_owned()),
        ];
        let codes = regex::Regex::new("\u{1b}\\[[0-9;]*m").unwrap();
        for error in errors {
            let [plain, coloured] = [false, true].map(|colour| {
                let mut stderr = Vec::new();
                report(&error(command()), Colours { stdout: colour, stderr: colour }, &mut stderr);
                String::from_utf8(stderr).unwrap()
            });
            assert!(!plain.contains('\u{1b}') && coloured.contains('\u{1b}'), "{coloured}");
            assert_eq!(codes.replace_all(&coloured, ""), plain);
        }
    }

    /// An output that fails with this error.
    struct Failing(io::ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn a_report_that_cannot_be_written_is_a_failure_with_a_message() {
        let settle = |result, stdout| {
            let mut stderr = Vec::new();
            let status = settle(result, PLAIN, &mut Failing(stdout), &mut stderr);
            (status, !stderr.is_empty())
        };
        let invalid = || Err(Failure::Reported(ExitStatus::Invalid));
        assert_eq!(settle(invalid(), io::ErrorKind::StorageFull), (ExitStatus::Failed, true));
        assert_eq!(settle(Ok(()), io::ErrorKind::StorageFull), (ExitStatus::Failed, true));
        let usage = Err(Failure::Usage("no".to_owned()));
        assert_eq!(settle(usage, io::ErrorKind::StorageFull), (ExitStatus::Usage, true));
        // A reader that closes the pipe has seen enough.
        assert_eq!(settle(invalid(), io::ErrorKind::BrokenPipe), (ExitStatus::Invalid, false));
        assert_eq!(settle(Ok(()), io::ErrorKind::BrokenPipe), (ExitStatus::Success, false));
    }
}
