//! How a run ends: every failure there is, and the one function that maps it to an exit status.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use tbot::agent::IdentityFileError;
use tbot::yaml::EmitError;

use crate::environment::NotUtf8;

/// The exit status of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Status {
    /// Done.
    Done = 0,
    /// Failed at run time.
    Failed = 1,
    /// Wrong usage, or a file that cannot be read.
    Usage = 2,
    /// The configuration is invalid.
    Invalid = 3,
}

/// Why a run did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Clap's own message, or its help.
    #[error("{0}")]
    CommandLine(#[from] clap::Error),
    /// A flag or a variable that makes no sense.
    #[error("{0}")]
    Usage(String),
    /// A variable that is not UTF-8.
    #[error(transparent)]
    Variable(#[from] NotUtf8),
    /// A file that cannot be read.
    #[error("cannot read {name}: {source}")]
    Unreadable { name: String, source: io::Error },
    /// A file that is no identity file.
    #[error("{}: {error}", .path.display())]
    Identity { path: PathBuf, error: IdentityFileError },
    /// `tsh` cannot be run.
    #[error("cannot run {program}: {error}; install Teleport's tsh, or set TSH to its path")]
    Tsh { program: String, error: io::Error },
    /// A file that cannot be written.
    #[error("cannot write {name}: {source}")]
    Unwritable { name: String, source: io::Error },
    /// A configuration that YAML cannot say.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// What has been said already.
    #[error("failed")]
    Reported(Status),
    /// Standard output or standard error cannot be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
    /// Something that this build is made of does not fit together.
    #[error("this build of tbot is broken: {0}")]
    Build(String),
    /// The system refuses what every process needs.
    #[error("cannot set up the process: {0}")]
    Process(io::Error),
}

impl Failure {
    const fn status(&self) -> Status {
        match self {
            Self::CommandLine(_) | Self::Usage(_) | Self::Variable(_) | Self::Unreadable { .. } => {
                Status::Usage
            }
            Self::Reported(status) => *status,
            Self::Identity { .. }
            | Self::Tsh { .. }
            | Self::Output(_)
            | Self::Build(_)
            | Self::Process(_)
            | Self::Unwritable { .. }
            | Self::Emit(_) => Status::Failed,
        }
    }
}

/// Ends a run: says on `output` or `errors` what has not been said, and gives the exit status.
pub(crate) fn end(ended: Result<(), Failure>, output: &mut dyn Write, errors: &mut dyn Write) -> ExitCode {
    let status = match ended.and_then(|()| Ok(output.flush()?)) {
        Ok(()) => Status::Done,
        Err(failure) => say(&failure, output, errors),
    };
    ExitCode::from(status as u8)
}

/// Where not even this can be written, the status still tells.
fn say(failure: &Failure, output: &mut dyn Write, errors: &mut dyn Write) -> Status {
    match failure {
        // Help and version are errors to clap.
        Failure::CommandLine(help) if !help.use_stderr() => {
            let _ = write!(output, "{help}").and_then(|()| output.flush());
            return Status::Done;
        }
        // Whoever reads the output has seen enough.
        Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => return Status::Done,
        Failure::Reported(_) => {
            let _ = output.flush();
        }
        Failure::CommandLine(error) => {
            let _ = write!(errors, "{error}");
        }
        failure => {
            let _ = output.flush().and_then(|()| writeln!(errors, "error: {failure}"));
        }
    }
    failure.status()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(failure: &Failure) -> (Status, String) {
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let status = say(failure, &mut output, &mut errors);
        assert_eq!(output, b"");
        (status, String::from_utf8(errors).unwrap())
    }

    #[test]
    fn every_kind_of_failure_has_its_status_and_is_said_once() {
        let io = io::Error::from;
        let unreadable =
            Failure::Unreadable { name: "tbot.yaml".to_owned(), source: io(io::ErrorKind::NotFound) };
        assert_eq!(
            said(&unreadable),
            (Status::Usage, "error: cannot read tbot.yaml: entity not found\n".to_owned())
        );
        assert_eq!(said(&Failure::Usage("no".to_owned())), (Status::Usage, "error: no\n".to_owned()));
        assert_eq!(said(&Failure::Variable(NotUtf8("X".to_owned()))).0, Status::Usage);
        assert_eq!(said(&Failure::Reported(Status::Invalid)), (Status::Invalid, String::new()));
        assert_eq!(said(&Failure::Output(io(io::ErrorKind::StorageFull))).0, Status::Failed);
        assert_eq!(said(&Failure::Output(io(io::ErrorKind::BrokenPipe))), (Status::Done, String::new()));
    }
}
