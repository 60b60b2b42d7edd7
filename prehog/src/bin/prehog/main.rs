//! `prehog`: command line, log and exit status around the library. `main` gathers everything ambient and passes it on.

mod cli;
mod export;
mod log;
mod report;
mod serve;

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use cli::{Cli, Command};
use prehog::store::{Store, StoreUrl};

/// Wrong usage, or a store or a file that cannot be used.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Where standard error is gone, the status still tells.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { 0 });
        }
    };
    let mut output = io::BufWriter::new(io::stdout().lock());
    match run(cli, &mut output).and_then(|()| Ok(output.flush()?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // As above.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli, output: &mut dyn Write) -> anyhow::Result<()> {
    log::begin(cli.log_format)?;
    let clock = prehog::clock::system();
    match cli.command {
        Command::Serve(arguments) => serve::serve(*arguments, clock),
        Command::Report(arguments) => report::report(&arguments, &clock, output),
        Command::Retain(arguments) => export::retain(&arguments, &clock, output),
        Command::Export(arguments) => export::export(&arguments, output),
    }
}

/// Opens a store that is there already.
fn open(store: &StoreUrl) -> anyhow::Result<Box<dyn Store>> {
    anyhow::ensure!(!store.is_missing(), "there is no {store}: name the store that `prehog serve` writes to");
    store.open().with_context(|| format!("cannot open {store}"))
}

/// Whoever reads the output has read enough.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}
