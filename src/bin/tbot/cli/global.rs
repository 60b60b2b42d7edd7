//! The global options, which are accepted before and after the command. The help of a command lists only those that have an effect
//! on it; `tbot --help` lists all.

use std::path::PathBuf;

use clap::{Arg, Args, Command, ValueEnum};

use super::path_or_empty::path_or_empty;

/// Flags that are accepted before and after the command.
#[derive(Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// Configuration file [env: TBOT_CONFIG_PATH]
    #[arg(short, long, global = true, value_name = "FILE", value_parser = path_or_empty())]
    pub(crate) config: Option<PathBuf>,
    /// Configuration in base64 [env: TBOT_CONFIG]
    #[arg(long, global = true, value_name = "BASE64")]
    pub(crate) config_string: Option<String>,
    /// Enable debug logging [env: TBOT_DEBUG]
    #[arg(short, long, global = true, overrides_with = "no_debug")]
    pub(crate) debug: bool,
    #[arg(long, global = true, hide = true, overrides_with = "debug")]
    pub(crate) no_debug: bool,
    /// Use only FIPS 140 validated cryptography
    #[arg(long, global = true, overrides_with = "no_fips")]
    pub(crate) fips: bool,
    #[arg(long, global = true, hide = true, overrides_with = "fips")]
    pub(crate) no_fips: bool,
    /// Accept any proxy certificate (testing only)
    #[arg(long, global = true, overrides_with = "no_insecure")]
    pub(crate) insecure: bool,
    #[arg(long, global = true, hide = true, overrides_with = "insecure")]
    pub(crate) no_insecure: bool,
    /// Log format: text or json
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text", hide_possible_values = true)]
    pub(crate) log_format: LogFormat,
    /// Use colours: auto, always or never
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub(crate) color: ColourChoice,
    /// Send one anonymous usage event per start;
    /// see `tbot telemetry explain`
    #[arg(long, global = true, verbatim_doc_comment)]
    pub(crate) anonymous_telemetry_opt_in: bool,
}

/// Whether text for people is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColourChoice {
    /// Only on a terminal, unless a variable decides.
    Auto,
    Always,
    Never,
}

/// The format of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// The commands that each global option has an effect on. The help of other commands does not list the option, although they
/// accept it: a script may set it for every command, as for Teleport's `tbot`.
const COMMANDS_OF_OPTIONS: &[(&str, &[&str])] = &[
    (
        "config",
        &[
            "start",
            "proxy",
            "db",
            "init",
            "install systemd",
            "migrate",
            "validate",
            "telemetry status",
            "telemetry preview",
        ],
    ),
    (
        "config_string",
        &["start", "proxy", "db", "init", "migrate", "validate", "telemetry status", "telemetry preview"],
    ),
    ("debug", &["start", "proxy", "db", "configure", "keypair create"]),
    ("fips", &["start", "configure"]),
    ("insecure", &["start", "proxy", "db", "configure", "keypair create"]),
    ("log_format", &["start", "keypair create"]),
    (
        "color",
        &[
            "start",
            "init",
            "install systemd",
            "configure",
            "migrate",
            "validate",
            "explain",
            "telemetry status",
            "telemetry preview",
        ],
    ),
    ("anonymous_telemetry_opt_in", &["start", "configure", "telemetry status", "telemetry preview"]),
];

/// Makes the help of each command list only the global options that have an effect on it, and `tbot -h` list none.
pub(super) fn list_where_effective(mut command: Command) -> Command {
    let options: Vec<Arg> = command.get_arguments().filter(|arg| arg.is_global_set()).cloned().collect();
    for option in options {
        let id = option.get_id().as_str();
        let row = COMMANDS_OF_OPTIONS.iter().find(|(name, _)| *name == id);
        if let Some((_, commands)) = row {
            command = command
                .mut_arg(id, only_in_long_help)
                .mut_subcommands(|subcommand| list_option(subcommand, "", &option, commands));
        }
    }
    command
}

fn only_in_long_help(option: Arg) -> Arg {
    // The manual page takes the description of such an option from its long help.
    let help = option.get_help().cloned().unwrap_or_default();
    option.long_help(help).hide_short_help(true)
}

/// Adds a global option to a command, hidden unless it has an effect there. Subcommands inherit what is not hidden.
fn list_option(command: Command, parent: &str, option: &Arg, affected: &[&str]) -> Command {
    let path = format!("{parent} {}", command.get_name());
    let path = path.trim_start();
    if affected.contains(&path) {
        return command.arg(option.clone());
    }
    command
        // Without its heading, which would otherwise precede those of the options that the command inherits.
        .arg(option.clone().hide(true).help_heading(None))
        .mut_subcommands(|subcommand| list_option(subcommand, path, option, affected))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::super::Cli;
    use super::*;

    #[test]
    fn every_global_option_has_a_row() {
        let command = Cli::command();
        let listed: Vec<&str> = command
            .get_arguments()
            .filter(|arg| !arg.is_hide_set())
            .map(|arg| arg.get_id().as_str())
            .collect();
        let rows: Vec<&str> = COMMANDS_OF_OPTIONS.iter().map(|(name, _)| *name).collect();
        assert_eq!(rows, listed, "COMMANDS_OF_OPTIONS on the left must list the global options on the right");
    }
}
