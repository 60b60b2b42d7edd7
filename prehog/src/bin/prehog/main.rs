//! `prehog`: the command line, the log and the exit status around the library. Only `main` accesses the arguments and the
//! standard streams; only it reads the system clock.

mod cli;
mod commands;
mod log;
mod serve;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser as _;
use clap::error::{ContextKind, ContextValue};
use cli::{Cli, Command, STORE_VARIABLE};

/// The exit status for invalid arguments.
const USAGE_ERROR: u8 = 2;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(mut error) => {
            hide_store(&mut error);
            // If this fails, the exit status still reports the error.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE_ERROR } else { 0 });
        }
    };
    let mut output = io::BufWriter::new(io::stdout().lock());
    match run(cli, &mut output).and_then(|()| Ok(output.flush()?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // If this fails, the exit status still reports the error.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Removes the URL of a store from the error that refuses it, because it may contain a password. If the URL comes from the variable, names
/// that instead of the flag.
fn hide_store(error: &mut clap::Error) {
    const FLAG: &str = "--store";
    let refused = error.get(ContextKind::InvalidArg).map(ToString::to_string);
    if refused.is_some_and(|argument| argument.starts_with(FLAG)) {
        error.insert(ContextKind::InvalidValue, ContextValue::String("...".to_owned()));
        let is_flag = |argument: OsString| argument.as_encoded_bytes().starts_with(FLAG.as_bytes());
        if !std::env::args_os().any(is_flag) {
            error.insert(ContextKind::InvalidArg, ContextValue::String(STORE_VARIABLE.to_owned()));
        }
    }
}

fn run(cli: Cli, output: &mut dyn Write) -> anyhow::Result<()> {
    log::init(cli.log_format)?;
    let clock = prehog::clock::system();
    match cli.command {
        Command::Serve(args) => serve::serve(*args, clock),
        Command::Report(args) => commands::report(&args, &clock, output),
        Command::Backup(args) => commands::backup(&args, output),
        Command::Retain(args) => commands::retain(&args, &clock, output),
        Command::Export(args) => commands::export(&args, output),
    }
}

/// Returns true if the reader of the output has closed it, such as `head`. That is not a failure.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}
