//! `tbot telemetry`, which shows whether the event is sent, and what it contains.

use clap::{Args, Subcommand, ValueEnum};

use super::run::RunArgs;

#[derive(Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct TelemetryArgs {
    #[command(subcommand)]
    pub(crate) command: TelemetryCommand,
}

#[derive(Subcommand)]
pub(crate) enum TelemetryCommand {
    /// Show whether `tbot start` with the same flags would
    /// send the event, and which inputs decide
    #[command(
        verbatim_doc_comment,
        after_help = "Example:
  tbot telemetry status -c tbot.yaml

If there is a SERVICE, --format must precede it."
    )]
    Status(Box<TelemetryRunArgs>),
    /// Show the request that `tbot start` with the same flags
    /// would send, without sending it
    #[command(
        verbatim_doc_comment,
        after_help = "Example:
  tbot telemetry preview -c tbot.yaml

If there is a SERVICE, --format must precede it."
    )]
    Preview(Box<TelemetryRunArgs>),
    /// Print the telemetry documentation
    #[command(after_help = "Example:
  tbot telemetry explain | less")]
    Explain(TelemetryExplainArgs),
}

/// Flags of the commands that show what `tbot start` with the same flags would do.
#[derive(Args)]
pub(crate) struct TelemetryRunArgs {
    /// Output format: human or json
    #[arg(long, value_name = "FORMAT", default_value = "human", hide_possible_values = true)]
    pub(crate) format: TelemetryFormat,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// The format of a status or a preview.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TelemetryFormat {
    Human,
    Json,
}

#[derive(Args)]
pub(crate) struct TelemetryExplainArgs {
    /// Also list every configuration property
    #[arg(long)]
    pub(crate) full: bool,
}
