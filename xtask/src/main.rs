//! Generators and checks of this repository.

mod ci;
mod demo;
mod docs;
mod generate;
mod load;
mod proto;
mod released;

use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "usage: cargo xtask <command>

  schema [--check]   write schema/, or fail on drift and show it
  docs [--check]     write docs/telemetry.md and docs/configuration.md, or fail on drift
  proto [--check]    write prehog/src/wire/generated/, or fail on drift
  load               drive a running prehog with simulated agents, or fill a store for a demo
  demo               run tbot against a development cluster, and show what it sends and writes
  ci                 check what CI checks beside the tests";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            generate::report(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    match arguments {
        ["schema", rest @ ..] => generate::schema(generate::Mode::from_arguments(rest)?),
        ["docs", rest @ ..] => docs::docs(generate::Mode::from_arguments(rest)?),
        ["proto", rest @ ..] => proto::proto(generate::Mode::from_arguments(rest)?),
        ["load", rest @ ..] => load::load(rest),
        ["demo"] => demo::demo(),
        ["ci"] => ci::ci(),
        _ => bail!("{USAGE}"),
    }
}
