//! The commands that install the agent as a service of the system.

use std::path::PathBuf;

use clap::builder::{StringValueParser, TypedValueParser};
use clap::{Args, Subcommand};

use super::path_or_empty::path_or_empty;

#[derive(Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct InstallArgs {
    #[command(subcommand)]
    pub(crate) command: InstallCommand,
}

#[derive(Subcommand)]
pub(crate) enum InstallCommand {
    /// Print a systemd unit that runs the agent, or write it
    #[command(after_help = "Example:
  tbot install systemd -c /etc/tbot.yaml --user tbot --group tbot --write

Without --write, prints the unit and changes nothing. The unit lets the agent
write to the directories of the configuration, and to no others.")]
    Systemd(SystemdArgs),
}

/// Parses a string. An empty one counts as not set.
fn or_default(default: &'static str) -> impl TypedValueParser<Value = String> {
    StringValueParser::new().map(move |value| if value.is_empty() { default.to_owned() } else { value })
}

#[derive(Args)]
pub(crate) struct SystemdArgs {
    /// Write the unit to its directory
    #[arg(long)]
    pub(crate) write: bool,
    /// Replace a unit that differs
    #[arg(long, requires = "write")]
    pub(crate) force: bool,
    /// Name of the unit
    #[arg(long, value_name = "NAME", default_value = "tbot", value_parser = or_default("tbot"))]
    pub(crate) name: String,
    /// User of the agent
    #[arg(long, value_name = "USER", default_value = "teleport", value_parser = or_default("teleport"))]
    pub(crate) user: String,
    /// Group of the agent
    #[arg(long, value_name = "GROUP", default_value = "teleport", value_parser = or_default("teleport"))]
    pub(crate) group: String,
    /// Directory of the unit, also --unit-dir
    /// [default: /etc/systemd/system]
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/etc/systemd/system",
        value_parser = or_default("/etc/systemd/system").map(PathBuf::from),
        hide_default_value = true,
        alias = "unit-dir",
        verbatim_doc_comment
    )]
    pub(crate) systemd_directory: PathBuf,
    /// PID file [default: /run/NAME/NAME.pid]
    #[arg(long, value_name = "FILE", value_parser = path_or_empty())]
    pub(crate) pid_file: Option<PathBuf>,
    /// Let the unit opt in to anonymous telemetry
    #[arg(long, conflicts_with = "no_anonymous_telemetry")]
    pub(crate) anonymous_telemetry: bool,
    /// Let the unit opt out of anonymous telemetry
    #[arg(long)]
    pub(crate) no_anonymous_telemetry: bool,
}
