//! Generators, checks and demos of this repository, run as `cargo xtask <command>`.

mod ci;
mod demo;
mod docs;
mod generated;
mod generators;
mod load;
mod proto;
mod released;
mod schema;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};

use generators::{GENERATORS, Mode};

const USAGE: &str = "usage: cargo xtask <command>

  schema [--check]   generate schema/ from the Rust types
  docs [--check]     generate docs/telemetry.md and docs/configuration.md from the schemas
  proto [--check]    generate prehog's .proto file from the event, and Rust code from all .proto files
  load               send simulated events to a running prehog, or fill a store with sample data
  demo               run tbot and prehog against a development cluster and show what they do
  ci                 run all CI checks other than the tests

With --check, nothing is written: the command fails and prints a diff if a file is out of date.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            workspace::print_line(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    let [command, rest @ ..] = arguments else { bail!("{USAGE}") };
    if let Some(generator) = GENERATORS.iter().find(|generator| generator.name == *command) {
        return generator.run(Mode::from_arguments(rest)?);
    }
    match (*command, rest) {
        ("load", rest) => load::run(rest),
        ("demo", []) => demo::run(),
        ("ci", []) => ci::run(),
        _ => bail!("{USAGE}"),
    }
}
