//! The command line: what the user may write, and nothing of what it means. Depends on clap alone, which reads neither
//! the environment nor the arguments of the process by itself.
//!
//! Names and short forms are those of Teleport's `tbot`. Help has 80 columns; a test holds it to that.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::exit::Failure;
use crate::service::Asked;

/// Machine ID agent for Teleport.
///
/// Joins a Teleport cluster as a bot, writes short-lived credentials for other
/// programs, and keeps them fresh.
#[derive(Parser)]
#[command(name = "tbot", version, verbatim_doc_comment)]
#[command(subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = "Exit status: 0 done, 1 failed at run time, 2 wrong usage or a file that cannot
be read, 3 invalid configuration.")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Reads a command line, the program's name first.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, Failure> {
    Ok(Cli::try_parse_from(arguments)?)
}

/// Flags that may stand before or after the command.
#[derive(Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Configuration file [env: TBOT_CONFIG_PATH]
    #[arg(short, long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Configuration itself, in base64 [env: TBOT_CONFIG]
    #[arg(long, global = true, value_name = "BASE64", hide = true)]
    pub(crate) config_string: Option<String>,
    /// Log more [env: TBOT_DEBUG]
    #[arg(short, long, global = true, overrides_with = "no_debug")]
    pub(crate) debug: bool,
    #[arg(long, global = true, hide = true, overrides_with = "debug")]
    pub(crate) no_debug: bool,
    /// Use FIPS 140 validated cryptography only
    #[arg(long, global = true, overrides_with = "no_fips")]
    pub(crate) fips: bool,
    #[arg(long, global = true, hide = true, overrides_with = "fips")]
    pub(crate) no_fips: bool,
    /// Take any certificate of a proxy (for tests)
    #[arg(long, global = true, overrides_with = "no_insecure")]
    pub(crate) insecure: bool,
    #[arg(long, global = true, hide = true, overrides_with = "insecure")]
    pub(crate) no_insecure: bool,
    /// Form of the log: text, json
    #[arg(long, global = true, value_name = "FORM", default_value = "text", hide_possible_values = true)]
    pub(crate) log_format: LogFormat,
    /// Send one anonymous event at each start;
    /// `tbot telemetry explain` says what it holds
    #[arg(long, global = true, verbatim_doc_comment)]
    pub(crate) anonymous_telemetry_opt_in: bool,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Join the cluster, write credentials and keep them fresh
    Start(Box<Run>),
    /// Run `tsh proxy` with the credentials of an output
    Proxy(Wrapped),
    /// Run `tsh db` with the credentials of an output
    Db(Wrapped),
    /// What a kubeconfig that tbot has written runs
    #[command(hide = true)]
    Kube {
        #[command(subcommand)]
        command: KubeCommand,
    },
    /// Print the configuration that flags make; reads no file
    Configure(Box<Configure>),
    /// Convert a file of version 1 to version 2
    Migrate(Migrate),
    /// Check configuration files
    Validate(Validate),
    /// Print a JSON Schema
    Schema(Schema),
    /// Show whether anonymous telemetry is on, and what it sends
    Telemetry(Telemetry),
    /// Print the version
    Version,
}

#[derive(Args)]
pub(crate) struct Configure {
    #[command(flatten)]
    pub(crate) written: Written,
    #[command(flatten)]
    pub(crate) run: Run,
}

#[derive(Args)]
pub(crate) struct Migrate {
    #[command(flatten)]
    pub(crate) written: Written,
}

/// Where a configuration is written.
#[derive(Args)]
pub(crate) struct Written {
    /// File to write instead of standard output
    #[arg(short, long, global = true, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// What is run: single fields of the configuration, and a service besides those of the file.
#[derive(Args)]
#[command(
    subcommand_value_name = "SERVICE",
    subcommand_help_heading = "Services",
    disable_help_subcommand = true
)]
pub(crate) struct Run {
    /// Write one identity into this directory,
    /// and no other service
    #[arg(long, value_name = "DIR", verbatim_doc_comment)]
    pub(crate) destination_dir: Option<String>,
    #[command(flatten)]
    pub(crate) settings: Settings,
    #[command(subcommand)]
    pub(crate) service: Option<Asked>,
}

/// Flags that override single fields of the configuration.
#[derive(Args)]
#[command(next_help_heading = "Options of the bot")]
pub(crate) struct Settings {
    /// Web address of a proxy, as host:port [env: TELEPORT_PROXY]
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub(crate) proxy_server: Option<String>,
    /// Address of an auth server [env: TELEPORT_AUTH_SERVER]
    #[arg(short, long, global = true, value_name = "ADDRESS")]
    pub(crate) auth_server: Option<String>,
    /// Join token, or absolute path of a file that holds it
    /// [env: TELEPORT_BOT_TOKEN]
    #[arg(long, global = true, value_name = "TOKEN", verbatim_doc_comment)]
    pub(crate) token: Option<String>,
    /// How the bot joins, such as token or github
    #[arg(long, global = true, value_name = "METHOD")]
    pub(crate) join_method: Option<String>,
    /// Address, join method and token in one:
    /// tbot+proxy+METHOD://TOKEN@HOST:PORT
    #[arg(long, global = true, value_name = "URI", verbatim_doc_comment)]
    pub(crate) join_uri: Option<String>,
    /// Pin of the auth server's authority; may be repeated
    #[arg(long = "ca-pin", global = true, value_name = "PIN")]
    pub(crate) ca_pins: Vec<String>,
    /// Registration secret of the join method bound_keypair
    #[arg(long, global = true, value_name = "SECRET")]
    pub(crate) registration_secret: Option<String>,
    /// File that holds the registration secret
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) registration_secret_path: Option<String>,
    /// File that holds a static key for bound_keypair
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) static_key_path: Option<String>,
    /// Where the bot keeps its identity: a directory,
    /// memory:// or kubernetes-secret:///NAME
    #[arg(long, global = true, value_name = "URI", visible_alias = "data-dir", verbatim_doc_comment)]
    pub(crate) storage: Option<String>,
    /// How long credentials live, such as 1h
    #[arg(long, global = true, value_name = "DURATION", visible_alias = "credential-ttl")]
    pub(crate) certificate_ttl: Option<String>,
    /// How often credentials are renewed, such as 20m
    #[arg(long, global = true, value_name = "DURATION")]
    pub(crate) renewal_interval: Option<String>,
    /// Write all outputs once and end
    #[arg(long, global = true, overrides_with = "no_oneshot")]
    pub(crate) oneshot: bool,
    #[arg(long, global = true, hide = true, overrides_with = "oneshot")]
    pub(crate) no_oneshot: bool,
    /// The bot is a scoped one
    #[arg(long, global = true, overrides_with = "no_scoped")]
    pub(crate) scoped: bool,
    #[arg(long, global = true, hide = true, overrides_with = "scoped")]
    pub(crate) no_scoped: bool,
    /// Where to serve health and metrics, as host:port
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub(crate) diag_addr: Option<String>,
    /// File that holds the process's id while it runs
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,
}

/// Flags of the commands that run `tsh`.
#[derive(Args)]
#[command(after_help = "TSH names the tsh to run, where it is not found in PATH.")]
pub(crate) struct Wrapped {
    /// Directory that an output writes to
    #[arg(long, value_name = "DIR")]
    pub(crate) destination_dir: PathBuf,
    /// Web address of a proxy, as host:port
    /// [env: TELEPORT_PROXY]
    #[arg(long, value_name = "ADDRESS", alias = "proxy", verbatim_doc_comment)]
    pub(crate) proxy_server: Option<String>,
    /// Cluster to reach
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
    /// What to pass on to tsh, behind `--` where it begins with -
    #[arg(value_name = "ARGUMENTS", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<OsString>,
}

#[derive(Subcommand)]
pub(crate) enum KubeCommand {
    /// Print an output's certificate and key for kubectl
    Credentials {
        /// Directory that an output writes to
        #[arg(long, value_name = "DIR")]
        destination_dir: PathBuf,
    },
}

#[derive(Args)]
pub(crate) struct Validate {
    /// Files to check; - is standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// human, json or github
    #[arg(long, value_name = "FORM", default_value = "human", hide_possible_values = true)]
    pub(crate) format: ReportFormat,
    /// Let warnings fail, too
    #[arg(long)]
    pub(crate) strict: bool,
}

/// Form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    Human,
    Json,
    Github,
}

#[derive(Args)]
pub(crate) struct Schema {
    /// config, config-v1 or event
    #[arg(value_name = "WHICH", hide_possible_values = true)]
    pub(crate) which: SchemaName,
}

/// A schema that this program embeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaName {
    Config,
    ConfigV1,
    Event,
}

#[derive(Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Telemetry {
    #[command(subcommand)]
    pub(crate) command: TelemetryCommand,
}

#[derive(Subcommand)]
pub(crate) enum TelemetryCommand {
    /// Say whether `tbot start` with the same flags would send
    /// the event, and which input decides
    #[command(verbatim_doc_comment)]
    Status(Box<Run>),
    /// Show the whole request that `tbot start` with the same
    /// flags would send; sends nothing
    #[command(verbatim_doc_comment)]
    Preview(Box<Run>),
    /// Print the documentation of the event
    Explain,
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
        for help in [command.render_help(), command.render_long_help()] {
            for line in help.to_string().lines() {
                assert!(line.chars().count() <= 80, "{}: {line}", command.get_name());
            }
        }
        command.get_subcommands_mut().for_each(check_help);
    }

    #[test]
    fn help_has_80_columns() {
        let mut command = Cli::command();
        command.build();
        check_help(&mut command);
    }

    #[test]
    fn what_ssh_config_runs_is_understood() {
        let line = "tbot proxy --destination-dir=/out --proxy-server=a:443 ssh --cluster=c  root@h:22";
        let cli = parse(line.split_whitespace().map(OsString::from)).unwrap();
        let Command::Proxy(wrapped) = cli.command else { panic!("proxy") };
        assert_eq!(wrapped.arguments, ["ssh", "--cluster=c", "root@h:22"]);
        assert_eq!((wrapped.cluster, wrapped.proxy_server.as_deref()), (None, Some("a:443")));
    }

    #[test]
    fn global_flags_stand_before_or_after_the_command() {
        for line in [
            "tbot --anonymous-telemetry-opt-in -c a.yaml start",
            "tbot start --anonymous-telemetry-opt-in -c a.yaml",
            "tbot -c a.yaml telemetry --anonymous-telemetry-opt-in status",
            "tbot telemetry status -c a.yaml --anonymous-telemetry-opt-in",
        ] {
            let cli = parse(line.split(' ').map(OsString::from)).unwrap();
            assert!(cli.global.anonymous_telemetry_opt_in, "{line}");
            assert_eq!(cli.global.config, Some(PathBuf::from("a.yaml")), "{line}");
        }
    }
}
