//! Starts a command of `cargo xtask`.

mod book;
mod ci;
mod fuzz;
mod help;
mod setup;

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};
use xtask_launcher::{Action, find, print_line};

/// The exit status for a command line that is not valid.
const USAGE_ERROR: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (name, rest) = match *arguments {
        [] | ["help" | "-h" | "--help"] => return print_help(&help::overview()),
        ["help", name, ..] => (name, vec!["--help"]),
        [name, ref rest @ ..] => (name, rest.to_vec()),
    };
    let Some(command) = find(name) else {
        print_line(&help::unknown_command(name));
        return ExitCode::from(USAGE_ERROR);
    };
    if rest.iter().any(|argument| matches!(*argument, "-h" | "--help")) {
        return print_help(&help::of_command(command));
    }
    let result = match (command.action, &*rest) {
        (Action::Setup, []) => setup::install(),
        (Action::Setup, ["--check"]) => setup::check(),
        (Action::Book, []) => book::build(false),
        (Action::Book, ["--open"]) => book::build(true),
        (Action::Ci, []) => ci::run_all(),
        (Action::Ci, ["--fast"]) => ci::run_fast(),
        (Action::Fuzz, arguments) => fuzz::run(arguments),
        (Action::Task(_), arguments) => run_task(name, arguments),
        (Action::Setup | Action::Book | Action::Ci, _) => {
            print_line(&help::usage(command));
            return ExitCode::from(USAGE_ERROR);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_line(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn print_help(help: &str) -> ExitCode {
    // If standard output is closed, nobody reads the help.
    let _ = writeln!(std::io::stdout(), "{help}");
    ExitCode::SUCCESS
}

/// Builds the programs, and replaces this process with `xtask`, which runs the task.
fn run_task(name: &str, arguments: &[&str]) -> Result<()> {
    let this_program = std::env::current_exe().context("cannot determine the path of this program")?;
    let program = this_program.with_file_name("xtask");
    build(&program)?;
    // On success, this does not return.
    let error = Command::new(program).arg(name).args(arguments).exec();
    Err(error).context("cannot run the program xtask")
}

/// Builds all programs of the workspace next to this one, also those that the task does not run, and a small test: for another
/// selection, cargo would build the dependencies again, with fewer features than for tests.
fn build(program: &Path) -> Result<()> {
    setup::warn_without_c_compiler();
    if !program.exists() {
        print_line("The first build takes some minutes. Cargo shows its progress:");
    }
    let status = Command::new(env!("CARGO"))
        .args(["build", "--locked", "--workspace", "--bins", "--test", "doc_paths"])
        .status();
    if !status.context("cannot run cargo build")?.success() {
        bail!("the build failed");
    }
    Ok(())
}
