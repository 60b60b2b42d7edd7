//! The generators, demos and pictures of this repository. `cargo xtask` builds this program and runs it.

mod demo;
mod dist;
mod docs;
mod generated;
mod generators;
mod interrupt;
mod load;
mod pictures;
mod proofs;
mod proto;
mod prove;
mod receiver;
mod released;
mod reproduce;
mod sandbox;
mod sbom;
mod schema;
mod week;

use std::process::ExitCode;

use anyhow::{Result, bail};

use generators::Generator;
use interrupt::Interrupted;
use xtask_launcher::{Action, Task, find, print_line};

/// The exit status after Ctrl-C, as in a shell.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Interrupted>() => ExitCode::from(INTERRUPTED),
        Err(error) => {
            print_line(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    let [name, rest @ ..] = arguments else { bail!("no command; run `cargo xtask`") };
    let Some(Action::Task(task)) = find(name).map(|command| command.action) else {
        bail!("unknown command `{name}`; run `cargo xtask`");
    };
    match task {
        Task::Demo => demo::run(rest),
        Task::Load => load::run(rest),
        Task::Pictures => pictures::run(rest),
        Task::Schema => Generator::SCHEMA.run(rest),
        Task::Docs => Generator::DOCS.run(rest),
        Task::Proto => Generator::PROTO.run(rest),
        Task::Prove => prove::run(rest),
        Task::Sbom => sbom::run(rest),
        Task::Dist => dist::run(rest),
        Task::Reproduce => reproduce::run(rest),
        Task::Week => week::run(rest),
    }
}
