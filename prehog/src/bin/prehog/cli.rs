//! The command line. Depends on clap, and on the types and defaults of the library.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::builder::{StringValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use prehog::day::Day;
use prehog::report::DEFAULT_MIN_GROUP;
use prehog::server::{
    DEFAULT_MAX_CONNECTIONS, DEFAULT_MAX_REQUESTS, DEFAULT_MAX_STORE_MIB, DEFAULT_RATE_LIMIT,
};
use prehog::store::{DEFAULT_STORE, MIN_RETENTION_DAYS, StoreUrl};

/// Receives anonymous usage events of tbot, stores them, and reports on them
#[derive(Parser)]
#[command(name = "prehog", version)]
#[command(subcommand_required = true, arg_required_else_help = true, next_line_help = true)]
pub(crate) struct Cli {
    /// Format of the log: text or json
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text", hide_possible_values = true)]
    pub(crate) log_format: LogFormat,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The format of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Receive and store events
    Serve(Box<ServeArgs>),
    /// Print the usage report
    Report(ReportArgs),
    /// Copy a SQLite store to a file, also while `prehog serve` uses it
    Backup(BackupArgs),
    /// Remove old starts and expired ids
    Retain(RetainArgs),
    /// Export starts as JSON lines
    Export(ExportArgs),
}

/// The variable for `--store`.
pub(crate) const STORE_VARIABLE: &str = "PREHOG_STORE";

/// Parses the URL of a store. An empty one counts as not set, as in a file that sets the variable to nothing.
fn store_url() -> impl TypedValueParser<Value = StoreUrl> {
    let or_default = |url: String| if url.is_empty() { DEFAULT_STORE.to_owned() } else { url };
    StringValueParser::new().try_map(move |url| or_default(url).parse::<StoreUrl>())
}

/// The store of a command.
#[derive(Args)]
pub(crate) struct StoreArgs {
    /// Store of the events: sqlite:PATH or
    /// clickhouse:https://HOST:8443/DATABASE
    /// [env: PREHOG_STORE]
    // Other users of the machine can read the arguments of a process, but not its environment.
    #[arg(long, value_name = "URL", verbatim_doc_comment, default_value = DEFAULT_STORE,
          env = STORE_VARIABLE, hide_env = true, value_parser = store_url())]
    pub(crate) store: StoreUrl,
}

#[derive(Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Address to receive events on (IP:PORT)
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8337")]
    pub(crate) listen: SocketAddr,
    /// Address (IP:PORT) to serve the report on [default: not served]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) report_listen: Option<SocketAddr>,
    /// Address (IP:PORT) to serve metrics on [default: not served]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// Hide groups with fewer than N starts in a week;
    /// at least 10
    #[arg(long, value_name = "N", verbatim_doc_comment, default_value_t = DEFAULT_MIN_GROUP,
          value_parser = parse_min_group)]
    pub(crate) min_group: u64,
    /// Keep starts for at most N days (14 or more)
    /// [default: keep them forever]
    #[arg(long, value_name = "N", value_parser = parse_retention, verbatim_doc_comment)]
    pub(crate) retain_days: Option<NonZeroU32>,
    /// Maximum size of the store in MiB; 0 for no limit
    #[arg(long, value_name = "N", default_value_t = DEFAULT_MAX_STORE_MIB)]
    pub(crate) max_store_mib: u32,
    /// Requests per minute and client; 0 for no limit
    #[arg(long, value_name = "N", default_value_t = DEFAULT_RATE_LIMIT)]
    pub(crate) rate_limit: u32,
    /// Address of a proxy whose X-Forwarded-For is trusted;
    /// can be repeated
    #[arg(long = "trusted-proxy", value_name = "ADDRESS", verbatim_doc_comment)]
    pub(crate) trusted_proxies: Vec<IpAddr>,
    /// Maximum number of open connections; at least 1
    #[arg(long, value_name = "N", default_value_t = DEFAULT_MAX_CONNECTIONS, value_parser = parse_at_least_one)]
    pub(crate) max_connections: usize,
    /// Maximum number of concurrent requests; at least 1
    #[arg(long, value_name = "N", default_value_t = DEFAULT_MAX_REQUESTS, value_parser = parse_at_least_one)]
    pub(crate) max_requests: usize,
}

#[derive(Args)]
pub(crate) struct ReportArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Format of the report: html, json or csv
    #[arg(long, value_name = "FORMAT", default_value = "html", hide_possible_values = true)]
    pub(crate) format: ReportFormat,
    /// First day, extended to its whole week
    /// [default: start of the last 12 complete weeks]
    #[arg(long, value_name = "DATE", verbatim_doc_comment)]
    pub(crate) since: Option<Day>,
    /// Last day, extended to its whole week
    /// [default: end of the last complete week]
    #[arg(long, value_name = "DATE", verbatim_doc_comment)]
    pub(crate) until: Option<Day>,
    /// Hide groups with fewer than N starts in a week
    #[arg(long, value_name = "N", default_value_t = DEFAULT_MIN_GROUP)]
    pub(crate) min_group: u64,
}

/// The format of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    Html,
    Json,
    Csv,
}

#[derive(Args)]
pub(crate) struct BackupArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// File to write; replaced if it exists
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Args)]
pub(crate) struct RetainArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Keep starts for at most N days (14 or more)
    #[arg(long, value_name = "N", value_parser = parse_retention)]
    pub(crate) days: NonZeroU32,
}

/// Parses the minimum number of starts of a group in a report that others can see.
fn parse_min_group(count: &str) -> Result<u64, String> {
    let count = count.parse().map_err(|_| "not a number".to_owned())?;
    if count < DEFAULT_MIN_GROUP {
        return Err(format!("must be at least {DEFAULT_MIN_GROUP}"));
    }
    Ok(count)
}

/// Parses a limit without which nothing would be accepted. Unlike for the limits of the rate and of the store, 0 does not mean that
/// there is no limit.
fn parse_at_least_one(number: &str) -> Result<usize, String> {
    match number.parse() {
        Ok(0) => Err("must be at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(_) => Err("not a number".to_owned()),
    }
}

/// Parses a number of days, of at least [`MIN_RETENTION_DAYS`].
fn parse_retention(days: &str) -> Result<NonZeroU32, String> {
    let days: NonZeroU32 = days.parse().map_err(|_| "not a number of days".to_owned())?;
    if days.get() < MIN_RETENTION_DAYS {
        return Err(format!(
            "must be at least {MIN_RETENTION_DAYS}, so that the last complete week can be read until the next one is over"
        ));
    }
    Ok(days)
}

#[derive(Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// First day [default: the first one in the store]
    #[arg(long, value_name = "DATE")]
    pub(crate) since: Option<Day>,
    /// Last day [default: the last one in the store]
    #[arg(long, value_name = "DATE")]
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

    fn assert_width(command: &mut clap::Command) {
        let (short, long) = (command.render_help(), command.render_long_help());
        for line in format!("{short}\n{long}").lines() {
            assert!(line.chars().count() <= 80, "{}: {line}", command.get_name());
        }
        command.get_subcommands_mut().for_each(assert_width);
    }

    #[test]
    fn help_fits_into_80_columns() {
        let mut command = Cli::command();
        command.build();
        assert_width(&mut command);
    }
}
