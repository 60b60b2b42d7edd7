//! Names flags instead of the keys of a file in diagnostics about values that flags set.

use tbot::config::{Override, OverrideSource};
use tbot::diagnostic::{Code, Diagnostic, NamedProperty, Target};
use tbot::pointer::Pointer;

use crate::cli::{NamedCommand, service_commands};
use crate::overrides::flag_for;

/// Replaces the properties that diagnostics name by the flags or variables that set them. Without a file, a flag is named for every
/// property that has one.
pub(super) fn name_flags(diagnostics: &mut [Diagnostic], overrides: &[Override], has_file: bool) {
    let command = overrides.iter().find_map(|set| match set.source() {
        OverrideSource::Command(name) => service_commands().find(|command| command.name == name),
        _ => None,
    });
    for diagnostic in diagnostics {
        let is_set = matches!(diagnostic.target, Target::Override(_));
        if (is_set || !has_file)
            && let Some(help) = help_with_flags(diagnostic.code, is_set)
        {
            diagnostic.help = Some(help.to_owned());
        }
        let Diagnostic { message, help, related, properties, .. } = diagnostic;
        let input = |property: &NamedProperty| {
            let unset = || if has_file { None } else { flag(&property.pointer, command.as_ref()) };
            property.set_by.clone().or_else(unset)
        };
        let replacement = |code: &str| {
            let (key, value) = code.split_once(": ").unwrap_or((code, ""));
            let input = input(properties.iter().find(|property| property.is_named(key))?)?;
            Some(if is_word(value) && value != "true" { format!("{input} {value}") } else { input })
        };
        *message = replace_code(message, replacement);
        *help = help.as_deref().map(|help| replace_code(help, replacement));
        if let Some((description, _)) = related {
            *description = replace_code(description, replacement);
        }
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
        Code::MissingNamespace => {
            "write the namespace before the name, as in `kubernetes-secret://NAMESPACE/NAME`, or set `POD_NAMESPACE` (in a pod: \
             fieldRef metadata.namespace)"
        }
        Code::StorageInMemory => "use `--storage DIR`",
        Code::NothingToDeliver | Code::UnsupportedDestination if is_set => "use `--destination DIR`",
        Code::NothingToDeliver => "add a command, such as `identity --destination DIR`",
        _ => return None,
    })
}

/// Returns whether a value can be written after a flag as it is.
fn is_word(value: &str) -> bool {
    !value.is_empty()
        && value.chars().all(|character| character.is_ascii_alphanumeric() || "_-/".contains(character))
}

/// Replaces what is in backticks, unless `replacement` returns `None`.
fn replace_code(text: &str, replacement: impl Fn(&str) -> Option<String>) -> String {
    let parts = text.split('`').enumerate().map(|(index, part)| {
        let replaced = if index % 2 == 1 { replacement(part) } else { None };
        replaced.unwrap_or_else(|| part.to_owned())
    });
    parts.collect::<Vec<_>>().join("`")
}

/// Returns the flag of `tbot start`, or of the command that adds a service, that sets a property.
fn flag(pointer: &Pointer, command: Option<&NamedCommand>) -> Option<String> {
    let of_service = || {
        let tokens: Vec<_> = pointer.tokens().collect();
        let ["services", _, property @ ..] = &*tokens.iter().map(AsRef::as_ref).collect::<Vec<&str>>() else {
            return None;
        };
        let sets = |pointer: &str| {
            let tokens: Vec<&str> = pointer.trim_end_matches("/-").split('/').skip(1).collect();
            let is_same = |(one, other): (&&str, &&str)| *one == "-" || one == other;
            tokens.len() == property.len() && tokens.iter().zip(property).all(is_same)
        };
        command?.flags().find(|flag| sets(flag.pointer)).map(|flag| format!("--{}", flag.name))
    };
    flag_for(pointer).map(str::to_owned).or_else(of_service)
}
