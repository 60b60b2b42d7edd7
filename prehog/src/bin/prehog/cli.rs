//! The command line: what the user may write. Depends on clap alone.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

use clap::{Args, Parser, Subcommand, ValueEnum};
use prehog::day::Day;
use prehog::store::StoreUrl;

/// Receives the anonymous events of tbot, stores them, and reports on them.
#[derive(Parser)]
#[command(name = "prehog", version)]
#[command(subcommand_required = true, arg_required_else_help = true, next_line_help = true)]
pub(crate) struct Cli {
    /// Form of the log, text or json
    #[arg(long, global = true, value_name = "FORM", default_value = "text", hide_possible_values = true)]
    pub(crate) log_format: LogFormat,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Receive events
    Serve(Box<Serve>),
    /// Say what was received
    Report(Report),
    /// Remove what is older than some days
    Retain(Retain),
    /// Write every start as a line of JSON
    Export(Export),
}

/// Which store.
#[derive(Args)]
pub(crate) struct StoreArgument {
    /// sqlite:PATH, or
    /// clickhouse:http://HOST:8123/DATABASE
    #[arg(long, value_name = "URL", verbatim_doc_comment, default_value = prehog::store::DEFAULT_STORE)]
    pub(crate) store: StoreUrl,
}

#[derive(Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) store: StoreArgument,
    /// Where to receive events
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8337")]
    pub(crate) listen: SocketAddr,
    /// Where to show the report; nowhere unless given
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) report_listen: Option<SocketAddr>,
    /// Where to show the metrics; nowhere unless given
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// Show no group with fewer starts
    #[arg(long, value_name = "N", default_value_t = prehog::server::MIN_GROUP)]
    pub(crate) min_group: u64,
    /// Remove starts before they are older than N days, 7 or more
    #[arg(long, value_name = "N", value_parser = week_or_more)]
    pub(crate) retain_days: Option<NonZeroU32>,
    /// Requests a minute from one address; 0 for any number
    #[arg(long, value_name = "N", default_value_t = prehog::server::RATE_LIMIT)]
    pub(crate) rate_limit: u32,
    /// Address of a proxy whose X-Forwarded-For is believed;
    /// may be repeated
    #[arg(long = "trusted-proxy", value_name = "ADDRESS", verbatim_doc_comment)]
    pub(crate) trusted_proxies: Vec<IpAddr>,
    /// Connections at a time
    #[arg(long, value_name = "N", default_value_t = 1024)]
    pub(crate) max_connections: usize,
    /// Requests at a time
    #[arg(long, value_name = "N", default_value_t = 512)]
    pub(crate) max_requests: usize,
}

#[derive(Args)]
pub(crate) struct Report {
    #[command(flatten)]
    pub(crate) store: StoreArgument,
    /// html, json or csv
    #[arg(long, value_name = "FORM", default_value = "html", hide_possible_values = true)]
    pub(crate) format: ReportFormat,
    /// First day, rounded to its whole week
    /// [default: 12 weeks before the last finished one ends]
    #[arg(long, value_name = "DAY", verbatim_doc_comment)]
    pub(crate) since: Option<Day>,
    /// Last day, rounded to its whole week
    /// [default: the end of the last finished week]
    #[arg(long, value_name = "DAY", verbatim_doc_comment)]
    pub(crate) until: Option<Day>,
    /// Show no group with fewer starts
    #[arg(long, value_name = "N", default_value_t = prehog::server::MIN_GROUP)]
    pub(crate) min_group: u64,
}

/// Form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    Html,
    Json,
    Csv,
}

#[derive(Args)]
pub(crate) struct Retain {
    #[command(flatten)]
    pub(crate) store: StoreArgument,
    /// Keep no start that is older than N days, 7 or more
    #[arg(long, value_name = "N", value_parser = week_or_more)]
    pub(crate) days: NonZeroU32,
}

/// Starts go by whole weeks: of fewer days than a week has, what came today could be gone in an hour.
fn week_or_more(text: &str) -> Result<NonZeroU32, String> {
    let days: NonZeroU32 = text.parse().map_err(|_| "not a number of days".to_owned())?;
    if days.get() < 7 { Err("at least 7, because starts go by whole weeks".to_owned()) } else { Ok(days) }
}

#[derive(Args)]
pub(crate) struct Export {
    #[command(flatten)]
    pub(crate) store: StoreArgument,
    /// First day
    #[arg(long, value_name = "DAY")]
    pub(crate) since: Option<Day>,
    /// Last day
    #[arg(long, value_name = "DAY")]
    pub(crate) until: Option<Day>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    fn check_help(command: &mut clap::Command) {
        let (short, long) = (command.render_help(), command.render_long_help());
        for line in format!("{short}\n{long}").lines() {
            assert!(line.chars().count() <= 80, "{}: {line}", command.get_name());
        }
        command.get_subcommands_mut().for_each(check_help);
    }

    #[test]
    fn help_has_80_columns() {
        let mut command = Cli::command();
        command.build();
        check_help(&mut command);
    }
}
