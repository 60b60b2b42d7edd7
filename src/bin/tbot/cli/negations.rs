//! The `--no-` forms of switches that are off by default. The Go agent accepts them, and its reference lists them.
//!
//! A switch that can override the configuration has its `--no-` form in the struct of its command.

use clap::{Arg, ArgAction, Command};

/// Each switch: its command, its identifier and its flag without dashes.
const SWITCHES: &[(&[&str], &str, &str)] = &[
    (&["copy-binaries"], "include_fdpass", "include-fdpass"),
    (&["init"], "clean", "clean"),
    (&["install", "systemd"], "write", "write"),
    (&["install", "systemd"], "force", "force"),
    (&["keypair", "create"], "overwrite", "overwrite"),
    (&["keypair", "create"], "static_key", "static"),
];

/// Adds the `--no-` forms, which help does not list. The last of both forms wins.
pub(super) fn add(command: Command) -> Command {
    SWITCHES
        .iter()
        .fold(command, |command, (path, id, flag)| negate(command, path, id, &format!("no-{flag}")))
}

fn negate(command: Command, path: &[&str], id: &'static str, negation: &str) -> Command {
    if let [name, rest @ ..] = path {
        return command.mut_subcommand(name, |command| negate(command, rest, id, negation));
    }
    let arg = Arg::new(negation.to_owned()).long(negation.to_owned()).hide(true).action(ArgAction::SetTrue);
    let negation = negation.to_owned();
    command.mut_arg(id, |arg| arg.overrides_with(negation)).arg(arg.overrides_with(id))
}
