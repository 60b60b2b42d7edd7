//! Help for values that flags set. It names flags instead of the keys of a file.

use std::cell::LazyCell;

use clap::Command;
use tbot::config::Override;
use tbot::diagnostic::{Code, Diagnostic, Target};

use crate::cli;

/// Replaces the keys in the help of diagnostics about values that flags or variables set. Without a file, these are all values.
pub(super) fn name_flags(diagnostics: &mut [Diagnostic], overrides: &[Override], has_file: bool) {
    // Most configurations need no flag, and the definition of all commands takes longer than to read a file.
    let command = LazyCell::new(|| cli::command(String::new()));
    let flag = |key: &str| flag(command.find_subcommand("start")?, key);
    for diagnostic in diagnostics {
        let source = match &diagnostic.target {
            Target::Override(source) => Some(source.clone()),
            _ if has_file => {
                if !overrides.is_empty() {
                    name_used_settings(diagnostic, overrides, flag);
                }
                continue;
            }
            _ => None,
        };
        if let Some(help) = help_with_flags(diagnostic.code, source.is_some()) {
            diagnostic.help = Some(help.to_owned());
            continue;
        }
        // A file can set the other keys.
        let is_replaced = |flag: &str| !has_file || source.as_deref() == Some(flag);
        let replacement = |code: &str| flag(without_value(code)).filter(|flag| is_replaced(flag));
        diagnostic.message = replace_code(&diagnostic.message, replacement);
        diagnostic.help = diagnostic.help.as_deref().map(|help| replace_code(help, replacement));
    }
}

/// In help about a file, replaces `key: true` by the flag if a flag has set the key.
fn name_used_settings(
    diagnostic: &mut Diagnostic,
    overrides: &[Override],
    flag: impl Fn(&str) -> Option<String>,
) {
    let is_used = |flag: &str| overrides.iter().any(|set| set.source().to_string() == flag);
    let replacement = |code: &str| {
        let key = without_value(code);
        (key != code).then(|| flag(key))?.filter(|flag| is_used(flag))
    };
    diagnostic.help = diagnostic.help.as_deref().map(|help| replace_code(help, replacement));
}

/// Returns the key of `key: true`.
fn without_value(code: &str) -> &str {
    code.trim_end_matches(": true")
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

/// Replaces what is in backticks, unless `replacement` returns `None`.
fn replace_code(text: &str, replacement: impl Fn(&str) -> Option<String>) -> String {
    let parts = text.split('`').enumerate().map(|(index, part)| {
        let replaced = if index % 2 == 1 { replacement(part) } else { None };
        replaced.unwrap_or_else(|| part.to_owned())
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
