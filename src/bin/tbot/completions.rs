//! `tbot completions` prints a completion script, and `tbot __complete`, which the scripts run, prints what can follow an
//! incomplete command line.

use std::ffi::OsString;
use std::io::Write;

use clap::{Arg, Command};
use tbot::config::JoinMethod;
use tbot::diagnostic::Code;

use crate::exit::Failure;

/// Something that can follow on a command line.
#[derive(Debug, PartialEq, Eq)]
struct Candidate {
    word: String,
    description: String,
}

impl Candidate {
    fn new(word: impl Into<String>, description: Option<impl ToString>) -> Self {
        let description = description.map(|text| text.to_string()).unwrap_or_default();
        Self { word: word.into(), description: description.lines().collect::<Vec<_>>().join(" ") }
    }
}

/// Prints one candidate per line, followed by a tab and its description. Prints nothing if the candidates are unknown, as for
/// the name of a file.
pub(crate) fn complete(mut root: Command, words: &[OsString], stdout: &mut dyn Write) -> Result<(), Failure> {
    root.build();
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    for Candidate { word, description } in candidates(&root, &words) {
        writeln!(stdout, "{word}\t{description}")?;
    }
    Ok(())
}

/// Returns what the last word can become. The other words come before it.
fn candidates(root: &Command, words: &[&str]) -> Vec<Candidate> {
    let (last, before) = words.split_last().unwrap_or((&"", &[]));
    let mut command = root;
    // The option whose value comes next.
    let mut option: Option<&Arg> = None;
    let mut positionals = 0;
    for word in before {
        match option {
            // bash makes the sign between an option and its value a separate word.
            Some(_) if *word == "=" => {}
            Some(_) => option = None,
            None if word.starts_with('-') => option = option_without_value(command, word),
            None => match command.find_subcommand(word) {
                Some(subcommand) => (command, positionals) = (subcommand, 0),
                None => positionals += 1,
            },
        }
    }
    let (prefix, last, found) = match (option, last.split_once('=')) {
        (Some(option), _) => ("", if *last == "=" { "" } else { *last }, values(option)),
        (None, Some((name, value))) => {
            let values = option_without_value(command, name).map(values).unwrap_or_default();
            (name, value, values)
        }
        (None, None) if last.starts_with('-') => ("", *last, options(command)),
        (None, None) => {
            let subcommands = subcommands(command).filter(|_| positionals == 0);
            let values = command.get_positionals().nth(positionals).map(values).unwrap_or_default();
            ("", *last, subcommands.chain(values).collect())
        }
    };
    let mut found: Vec<Candidate> =
        found.into_iter().filter(|candidate| candidate.word.starts_with(last)).collect();
    if !prefix.is_empty() {
        found.iter_mut().for_each(|candidate| candidate.word = format!("{prefix}={}", candidate.word));
    }
    found
}

/// Returns the option that a word names, if its value must be the next word.
fn option_without_value<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    command.get_arguments().filter(|arg| arg.get_action().takes_values()).find(|arg| {
        let names = arg.get_long_and_visible_aliases().unwrap_or_default();
        let is_long = word.strip_prefix("--").is_some_and(|name| names.contains(&name));
        is_long || arg.get_short().is_some_and(|short| word == format!("-{short}"))
    })
}

fn options(command: &Command) -> Vec<Candidate> {
    let visible = command.get_arguments().filter(|arg| !arg.is_hide_set());
    visible.filter_map(|arg| Some(Candidate::new(format!("--{}", arg.get_long()?), arg.get_help()))).collect()
}

fn subcommands(command: &Command) -> impl Iterator<Item = Candidate> {
    let visible = command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set());
    visible.map(|subcommand| Candidate::new(subcommand.get_name(), subcommand.get_about()))
}

fn values(arg: &Arg) -> Vec<Candidate> {
    if arg.get_id() == "join_method" {
        return JoinMethod::ALL.iter().map(|method| Candidate::new(method.as_str(), None::<&str>)).collect();
    }
    if arg.get_id() == "code" {
        return Code::ALL.iter().map(|code| Candidate::new(code.name(), Some(code.title()))).collect();
    }
    let values = arg.get_possible_values();
    values.iter().map(|value| Candidate::new(value.get_name(), value.get_help())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command_line;

    fn words(line: &str) -> Vec<String> {
        let mut root = command_line::command();
        root.build();
        let words: Vec<&str> = line.split(' ').collect();
        candidates(&root, &words).into_iter().map(|candidate| candidate.word).collect()
    }

    #[test]
    fn commands_options_and_values_are_completed() {
        for (line, expected) in [
            ("va", &["validate"][..]),
            ("start ident", &["identity"]),
            ("-c tbot.yaml start --debug ident", &["identity"]),
            ("start identity --desti", &["--destination"]),
            ("start identity --destination /out --join-u", &["--join-uri"]),
            ("telemetry pre", &["preview"]),
            ("help tele", &["telemetry"]),
            ("schema config-", &["config-v1"]),
            ("validate --format ", &["human", "json", "github", "sarif"]),
            ("validate --format j", &["json"]),
            ("validate --format=j", &["--format=json"]),
            // bash splits at the sign.
            ("validate --format = j", &["json"]),
            ("validate --format =", &["human", "json", "github", "sarif"]),
            ("start --join-method azure", &["azure", "azure_devops"]),
            ("completions z", &["zsh"]),
            ("explain unknown-k", &["unknown-key"]),
        ] {
            assert_eq!(words(line), expected, "{line}");
        }
    }

    #[test]
    fn file_names_are_left_to_the_shell() {
        for line in [
            "-c ",
            "start -c ",
            "validate ",
            "validate a.yaml ",
            "start --token ",
            "start --storage=",
            "frob ",
        ] {
            assert_eq!(words(line), [""; 0], "{line}");
        }
    }

    #[test]
    fn hidden_commands_are_not_offered() {
        let commands = words("");
        assert!(commands.contains(&"start".to_owned()), "{commands:?}");
        assert!(!commands.iter().any(|command| ["__complete", "kube"].contains(&command.as_str())));
        assert_eq!(words("version -"), ["--help"]);
        assert_eq!(words("start --no-"), [""; 0]);
    }

    #[test]
    fn a_description_is_one_line() {
        let mut stdout = Vec::new();
        complete(command_line::command(), &["start".into(), "--destination-d".into()], &mut stdout).unwrap();
        let stdout = String::from_utf8(stdout).unwrap();
        let (word, description) = stdout.strip_suffix('\n').unwrap().split_once('\t').unwrap();
        assert_eq!(word, "--destination-dir");
        assert!(!description.is_empty() && !description.contains('\n'), "{description}");
    }
}
