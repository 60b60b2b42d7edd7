//! The parts of its process that a command uses (environment, standard streams, randomness), passed as one argument.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use tbot::agent::{Environment, SUPPORTED_VERSIONS};
use tbot::config::ProcessContext;
use tbot::diagnostic::Terminal;

use crate::cli::ColourChoice;
use crate::terminal::{OutputStreams, terminal};

/// The version of this program, as the telemetry event reports it.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Returns what `tbot version` prints after the name of the program.
///
/// Programs written for Teleport's `tbot`, such as its GitHub Actions, read a version from it with the pattern
/// `Teleport (?:Enterprise )?v(?P<version>[^ ]*)`, so a space must follow that version.
pub(crate) fn version_line() -> String {
    let newest = SUPPORTED_VERSIONS.end();
    format!("{VERSION}, an independent agent, compatible with Teleport v{newest}.0.0 and older")
}

/// The environment of a command: variables, standard streams, and what it may query about the process.
pub(crate) struct Context<'a> {
    pub(crate) environment: Environment,
    pub(crate) stdin: &'a mut dyn Read,
    /// Standard output. Only flushing it returns an error.
    pub(crate) stdout: &'a mut dyn Write,
    /// Standard error. Only flushing it returns an error.
    pub(crate) stderr: &'a mut dyn Write,
    /// The properties of standard output and standard error.
    pub(crate) streams: OutputStreams,
    /// Whether text for people is coloured.
    pub(crate) colour: ColourChoice,
    /// Returns random bytes for a `distinctId`.
    pub(crate) random_bytes: fn() -> [u8; 16],
    pub(crate) process_id: u32,
    /// Returns the time of the monotonic clock, which other processes can compare with theirs.
    pub(crate) monotonic_time: fn() -> Duration,
    /// The path of this program, for files that call it.
    pub(crate) command_path: PathBuf,
    /// Returns the working directory.
    pub(crate) current_dir: fn() -> io::Result<PathBuf>,
}

impl Context<'_> {
    /// Returns the terminal that text on standard output is written for.
    pub(crate) fn stdout_terminal(&self) -> Terminal {
        terminal(self.streams.stdout, self.colour, &self.environment)
    }

    /// Returns the terminal that text on standard error is written for.
    pub(crate) fn stderr_terminal(&self) -> Terminal {
        terminal(self.streams.stderr, self.colour, &self.environment)
    }

    /// Flushes standard output, before text that follows it on standard error. If this fails, so does the last flush, which decides
    /// about the exit status.
    pub(crate) fn flush_stdout(&mut self) {
        let _ = self.stdout.flush();
    }

    /// Returns what decides about the locations in a configuration. Symbolic links are not resolved. `None` if the working
    /// directory cannot be determined.
    pub(crate) fn process_context(&self) -> Option<ProcessContext> {
        Some(ProcessContext {
            working_directory: (self.current_dir)().ok()?,
            pod_namespace: self.environment.get("POD_NAMESPACE").map(str::to_owned),
            resolve_links: None,
        })
    }
}

/// Parses a boolean like Go's `strconv.ParseBool`, which Teleport's programs use for their variables.
pub(crate) fn parse_go_bool(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}
