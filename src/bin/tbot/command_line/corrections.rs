//! Corrects mistakes on the command line for which clap has no good hint, such as a command that only Teleport's `tbot` has.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use tbot::config::ServiceType;
use tbot::config::internal::service_type_help;
use tbot::diagnostic::suggest;
use tbot::untrusted::escape;

use super::command;
use crate::cli::MISSING;
use crate::exit::Failure;

/// Flags that only drafts of Teleport's `tbot`, other tools or other commands have, and what to do instead.
pub(super) const MISTAKEN: &[(&str, &str)] = &[
    ("--join-token", "use `--token`"),
    ("--workload-identity", "use `--name-selector`"),
    ("--workload-identity-name", "use `--name-selector`"),
    ("--workload-identity-labels", "use `--label-selector`"),
    ("--kubernetes-cluster", "use the command `kubernetes`, or `kubernetes/v2` with `--name-selector`"),
];

/// Converts an error of clap about these words, with a better hint if there is one.
pub(super) fn corrected(error: clap::Error, words: &[OsString]) -> Failure {
    match correction(&error, words) {
        Some(message) => Failure::Usage(message),
        None => without_unlikely_tips(error).into(),
    }
}

/// Returns a message that says what to do instead, if there is a better one than clap's guess from similar names.
fn correction(error: &clap::Error, words: &[OsString]) -> Option<String> {
    if error.kind() == ErrorKind::MissingSubcommand {
        return missing_command(words);
    }
    if error.kind() == ErrorKind::InvalidSubcommand {
        return command_correction(strings(error, ContextKind::InvalidSubcommand).first()?);
    }
    let name = strings(error, ContextKind::InvalidArg).first()?.split('=').next()?;
    match instead_of(name) {
        Some(instead) => Some(format!("there is no flag `{name}` here: {instead}")),
        None => order_correction(name, words),
    }
}

/// Returns a message about a flag of a command that is written after the name of its subcommand.
fn order_correction(flag: &str, words: &[OsString]) -> Option<String> {
    let long = flag.strip_prefix("--")?;
    let root = command();
    let (mut parent, mut path) = (&root, root.get_name().to_owned());
    for word in words.iter().skip(1).filter_map(|word| word.to_str()) {
        let Some(subcommand) = parent.find_subcommand(word) else { continue };
        let has_flag = |arg: &&clap::Arg| arg.get_long() == Some(long);
        if let Some(arg) = parent.get_arguments().find(has_flag) {
            // It replaces all services, so no service command can follow it.
            if long == "destination-dir" {
                let has_destination =
                    subcommand.get_arguments().any(|arg| arg.get_long() == Some("destination"));
                let instead = match has_destination {
                    true => "use `--destination`".to_owned(),
                    false => format!("remove it; `{word}` writes no files"),
                };
                return Some(format!("`{word}` has no flag `{flag}`: {instead}"));
            }
            let names = arg.get_value_names().filter(|_| arg.get_action().takes_values());
            let value = names.map(|names| format!(" {}", names[0])).unwrap_or_default();
            return Some(format!("`{flag}` must precede `{word}`: `{path} {flag}{value} {word} ...`"));
        }
        (parent, path) = (subcommand, format!("{path} {}", subcommand.get_name()));
    }
    None
}

/// Returns the strings of a part of an error.
fn strings(error: &clap::Error, part: ContextKind) -> &[String] {
    match error.get(part) {
        Some(ContextValue::String(one)) => std::slice::from_ref(one),
        Some(ContextValue::Strings(several)) => several,
        _ => &[],
    }
}

/// Returns what to write instead of a line with global options only, which old documentation of Teleport shows.
fn missing_command(words: &[OsString]) -> Option<String> {
    let matches = command().ignore_errors(true).try_get_matches_from(words).ok()?;
    if matches.subcommand_name().is_some() {
        return None;
    }
    let config = matches.get_one::<PathBuf>("config");
    let config = config.map(|path| format!(" -c {}", escape(&path.to_string_lossy()))).unwrap_or_default();
    Some(format!(
        "no command: to run the agent, use `tbot start{config}`; `tbot --help` lists the other commands"
    ))
}

fn command_correction(word: &str) -> Option<String> {
    if let Some(instead) = instead_of(word) {
        return Some(format!("there is no command `{word}`: {instead}"));
    }
    if word == "help" {
        return Some("`help` is not a command here: write `--help` instead".to_owned());
    }
    if let Some(path) = path_of(&command(), word) {
        return Some(format!("`{word}` is not a command here: use `{path}`"));
    }
    if ServiceType::ALL.iter().any(|service_type| service_type.name == word) {
        let message = "has no command: add a service of this type to the configuration file";
        return Some(format!("the service type `{word}` {message}"));
    }
    if let Some(help) = service_type_help(word).filter(|help| help.starts_with("use ")) {
        return Some(format!("`{word}` is not a command: {help}"));
    }
    let looks_like_a_file = word.contains('/') || word.ends_with(".yaml") || word.ends_with(".yml");
    looks_like_a_file.then(|| format!("`{word}` is not a command: pass a configuration file with --config"))
}

/// Returns the full name of the first command with this name or alias that help lists, such as `tbot start identity`.
fn path_of(parent: &clap::Command, name: &str) -> Option<String> {
    let listed = || parent.get_subcommands().filter(|command| !command.is_hide_set());
    let has_name = |command: &&clap::Command| {
        command.get_name() == name || command.get_all_aliases().any(|alias| alias == name)
    };
    let path = match listed().find(has_name) {
        Some(command) => command.get_name().to_owned(),
        None => listed().find_map(|command| path_of(command, name))?,
    };
    Some(format!("{} {path}", parent.get_name()))
}

/// Returns what to do instead of a command or flag that does not exist here. A flag begins with dashes.
fn instead_of(missing: &str) -> Option<&'static str> {
    MISSING.iter().chain(MISTAKEN).find(|(name, _)| *name == missing).map(|(_, instead)| *instead)
}

/// Removes the tips of clap that have too little in common with what is written: clap suggests `--bot-user` for
/// `--auth-server`, and `wait` for `watch`.
fn without_unlikely_tips(mut error: clap::Error) -> clap::Error {
    for (written, suggested) in [
        (ContextKind::InvalidArg, ContextKind::SuggestedArg),
        (ContextKind::InvalidSubcommand, ContextKind::SuggestedSubcommand),
    ] {
        let Some(written) = strings(&error, written).first() else { continue };
        let tips = strings(&error, suggested);
        let likely: Vec<String> = tips.iter().filter(|tip| is_likely(written, tip)).cloned().collect();
        if likely.len() == tips.len() {
            continue;
        }
        if !likely.is_empty() {
            error.insert(suggested, ContextValue::Strings(likely));
            continue;
        }
        error.remove(suggested);
        if suggested == ContextKind::SuggestedArg {
            // It shows the flag of the tip.
            error.remove(ContextKind::Usage);
        }
        // Without tips, an empty list of others is only an empty line.
        if matches!(error.get(ContextKind::Suggested), Some(ContextValue::StyledStrs(others)) if others.is_empty())
        {
            error.remove(ContextKind::Suggested);
        }
    }
    error
}

/// Returns whether a name is a likely correction of what is written: a misspelling, or a part of the other.
fn is_likely(written: &str, name: &str) -> bool {
    let [written, name] = [written, name].map(|word| word.trim_start_matches('-'));
    let has_part = written.starts_with(name) || name.starts_with(written);
    has_part || suggest(written, [name]).is_some()
}
