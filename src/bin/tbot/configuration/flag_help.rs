//! Help for values that flags set: it names flags, where help for a file names keys.

use std::cell::LazyCell;

use clap::Command;
use tbot::diagnostic::{Code, Diagnostic, Target};

use crate::cli;

/// Replaces help that would name a key of a file, for what flags and variables set. Without a file, there is nothing else.
pub(super) fn name_flags(diagnostics: &mut [Diagnostic], has_file: bool) {
    // Most configurations need no flag, and the definition of all commands takes longer than to read a file.
    let command = LazyCell::new(|| cli::command(String::new()));
    for diagnostic in diagnostics {
        let source = match &diagnostic.target {
            Target::Override(source) => Some(source.clone()),
            _ if has_file => continue,
            _ => None,
        };
        if let Some(help) = help_with_flags(diagnostic.code, source.is_some()) {
            diagnostic.help = Some(help.to_owned());
            continue;
        }
        // A file can set the other keys.
        let is_replaced = |flag: &str| !has_file || source.as_deref() == Some(flag);
        let flag = |key: &str| flag(command.find_subcommand("start")?, key).filter(|flag| is_replaced(flag));
        diagnostic.message = replace_keys(&diagnostic.message, flag);
        diagnostic.help = diagnostic.help.as_deref().map(|help| replace_keys(help, flag));
    }
}

/// Returns the help for a code that needs more than the name of a flag. `is_set` tells whether a flag or a variable has set the value
/// that the diagnostic is about.
const fn help_with_flags(code: Code, is_set: bool) -> Option<&'static str> {
    Some(match code {
        Code::MissingAddress => "set `--proxy-server` or `TELEPORT_PROXY`",
        Code::MissingJoinMethod => {
            "set `--join-method` to that of the join token, such as `--join-method token`"
        }
        Code::MissingToken => "set `--token` or `TELEPORT_BOT_TOKEN`",
        Code::UnverifiedAuthServer => {
            "set `--ca-pin` to what `tctl status` prints; if this is the address of a proxy, use `--proxy-server` instead"
        }
        Code::StorageInMemory => "use `--storage DIR`",
        Code::NothingToDeliver | Code::UnsupportedDestination if is_set => "use `--destination DIR`",
        Code::NothingToDeliver => "add a command, such as `identity --destination DIR`",
        _ => return None,
    })
}

/// Replaces keys in backticks, which may be followed by `: true`.
fn replace_keys(text: &str, flag: impl Fn(&str) -> Option<String>) -> String {
    let parts = text.split('`').enumerate().map(|(index, part)| {
        let key = (index % 2 == 1).then(|| part.trim_end_matches(": true"));
        key.and_then(&flag).unwrap_or_else(|| part.to_owned())
    });
    parts.collect::<Vec<_>>().join("`")
}

/// Returns the flag of `tbot start` or of one of its services that sets a key.
fn flag(start: &Command, key: &str) -> Option<String> {
    let name = match key {
        "ca_pins" => "ca-pin".to_owned(),
        "credential_ttl" => "certificate-ttl".to_owned(),
        _ => key.replace('_', "-"),
    };
    let mut commands = std::iter::once(start).chain(start.get_subcommands());
    let has_flag = |command: &Command| {
        command.get_arguments().any(|argument| argument.get_long() == Some(name.as_str()))
    };
    commands.any(has_flag).then(|| format!("--{name}"))
}
