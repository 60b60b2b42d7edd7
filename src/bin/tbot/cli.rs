//! The command line: its commands and flags, parsed by clap. Reads no environment variable.
//!
//! Flags have the names and short forms of Teleport's `tbot`. Help is at most 80 columns wide, which a test checks.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue};
use clap::{Args, Parser, Subcommand, ValueEnum};
use tbot::config::GoDuration;

use crate::context::version_line;
use crate::exit::Failure;
use crate::service_args::ServiceArgs;

/// Machine ID agent for Teleport.
///
/// Joins a Teleport cluster as a bot, writes short-lived credentials for other
/// programs, and renews them before they expire.
#[derive(Parser)]
#[command(name = "tbot", version = version_line(), verbatim_doc_comment)]
#[command(subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = "Exit status: 0 success, 1 runtime failure, 2 usage error or unreadable file,
3 invalid configuration.")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Parses a command line, which starts with the name of the program.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, Failure> {
    Cli::try_parse_from(arguments).map_err(|error| match missing_command(&error) {
        Some(help) => Failure::Usage(help.to_owned()),
        None => error.into(),
    })
}

/// Commands of Teleport's `tbot` that this program does not have, with what to do instead.
const MISSING_COMMANDS: &[(&str, &str)] = &[
    (
        "init",
        "there is no command `init`: tbot creates each output's directory when it starts; to let other users read the \
         files, add `readers` to the destination",
    ),
    (
        "install",
        "there is no command `install`: write a systemd unit with `ExecStart=/usr/local/bin/tbot start -c /etc/tbot.yaml` \
         and `RestartPreventExitStatus=2 3`",
    ),
];

/// Returns what to do instead of a missing command, if that is what the user wrote.
fn missing_command(error: &clap::Error) -> Option<&'static str> {
    let Some(ContextValue::String(command)) = error.get(ContextKind::InvalidSubcommand) else { return None };
    MISSING_COMMANDS.iter().find(|(name, _)| name == command).map(|(_, help)| *help)
}

/// Flags that are accepted before and after the command.
#[derive(Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// Configuration file [env: TBOT_CONFIG_PATH]
    #[arg(short, long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Base64-encoded configuration [env: TBOT_CONFIG]
    #[arg(long, global = true, value_name = "BASE64", hide = true)]
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
    /// Send one anonymous usage event per start;
    /// see `tbot telemetry explain`
    #[arg(long, global = true, verbatim_doc_comment)]
    pub(crate) anonymous_telemetry_opt_in: bool,
}

/// The format of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Join the cluster, write credentials and keep renewing them
    Start(Box<RunArgs>),
    /// Run `tsh proxy` with the credentials of an output
    Proxy(TshArgs),
    /// Run `tsh db` with the credentials of an output
    Db(TshArgs),
    /// Commands for kubeconfig files that tbot has written
    #[command(hide = true)]
    Kube {
        #[command(subcommand)]
        command: KubeCommand,
    },
    /// Print a configuration built from flags
    Configure(Box<ConfigureArgs>),
    /// Convert a version 1 configuration file to version 2
    Migrate(MigrateArgs),
    /// Check configuration files
    Validate(ValidateArgs),
    /// Print a JSON Schema
    Schema(SchemaArgs),
    /// Show whether anonymous telemetry is on and what it sends
    Telemetry(TelemetryArgs),
    /// Wait until a running agent is ready
    Wait(WaitArgs),
    /// Print the version
    Version,
}

#[derive(Args)]
pub(crate) struct ConfigureArgs {
    #[command(flatten)]
    pub(crate) output: OutputFileArgs,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Args)]
pub(crate) struct MigrateArgs {
    /// File to convert; - reads standard input
    #[arg(value_name = "FILE", conflicts_with_all = ["config", "config_string"])]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: OutputFileArgs,
}

/// Where to write a configuration.
#[derive(Args)]
pub(crate) struct OutputFileArgs {
    /// Write to this file, not to standard output
    #[arg(id = "output", short, long = "output", global = true, value_name = "FILE")]
    pub(crate) path: Option<PathBuf>,
}

/// Overrides of single properties, and optionally one service in addition to those of the file.
#[derive(Args)]
#[command(
    subcommand_value_name = "SERVICE",
    subcommand_help_heading = "Services",
    disable_help_subcommand = true
)]
pub(crate) struct RunArgs {
    /// Write one identity to this directory instead
    /// of running the services of the file
    #[arg(long, value_name = "DIR", verbatim_doc_comment)]
    pub(crate) destination_dir: Option<String>,
    #[command(flatten)]
    pub(crate) bot: BotArgs,
    #[command(subcommand)]
    pub(crate) service: Option<ServiceArgs>,
}

/// Flags that override single properties of the configuration.
#[derive(Args)]
#[command(next_help_heading = "Bot options")]
pub(crate) struct BotArgs {
    /// Proxy address (HOST:PORT) [env: TELEPORT_PROXY]
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub(crate) proxy_server: Option<String>,
    /// Auth server address (HOST:PORT) [env: TELEPORT_AUTH_SERVER]
    #[arg(short, long, global = true, value_name = "ADDRESS")]
    pub(crate) auth_server: Option<String>,
    /// Join token, or absolute path of a file that contains it
    /// [env: TELEPORT_BOT_TOKEN]
    #[arg(long, global = true, value_name = "TOKEN", verbatim_doc_comment)]
    pub(crate) token: Option<String>,
    /// Join method, such as token or github
    #[arg(long, global = true, value_name = "METHOD")]
    pub(crate) join_method: Option<String>,
    /// Address, join method and token in one URI:
    /// tbot+proxy+METHOD://TOKEN@HOST:PORT
    #[arg(long, global = true, value_name = "URI", verbatim_doc_comment)]
    pub(crate) join_uri: Option<String>,
    /// CA pin of the auth server; repeatable
    #[arg(long = "ca-pin", global = true, value_name = "PIN")]
    pub(crate) ca_pins: Vec<String>,
    /// Registration secret for the bound_keypair join method
    #[arg(long, global = true, value_name = "SECRET")]
    pub(crate) registration_secret: Option<String>,
    /// File that contains the registration secret
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) registration_secret_path: Option<String>,
    /// File that contains a static key for bound_keypair
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) static_key_path: Option<String>,
    /// Where to store the bot's identity: a directory,
    /// memory:// or kubernetes-secret:///NAME
    #[arg(long, global = true, value_name = "URI", visible_alias = "data-dir", verbatim_doc_comment)]
    pub(crate) storage: Option<String>,
    /// Lifetime of credentials, such as 1h
    #[arg(long, global = true, value_name = "DURATION", visible_alias = "credential-ttl")]
    pub(crate) certificate_ttl: Option<String>,
    /// How often to renew credentials, such as 20m
    #[arg(long, global = true, value_name = "DURATION")]
    pub(crate) renewal_interval: Option<String>,
    /// Write all outputs once, then exit
    #[arg(long, global = true, overrides_with = "no_oneshot")]
    pub(crate) oneshot: bool,
    #[arg(long, global = true, hide = true, overrides_with = "oneshot")]
    pub(crate) no_oneshot: bool,
    /// Run as a scoped bot
    #[arg(long, global = true, overrides_with = "no_scoped")]
    pub(crate) scoped: bool,
    #[arg(long, global = true, hide = true, overrides_with = "scoped")]
    pub(crate) no_scoped: bool,
    /// Listen address for health checks and metrics (HOST:PORT)
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub(crate) diag_addr: Option<String>,
    /// Write the process ID to this file while running
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,
}

/// Flags of the commands that run `tsh`.
#[derive(Args)]
#[command(after_help = "If tsh is not in PATH, set TSH to its path.")]
pub(crate) struct TshArgs {
    /// Directory of the output to use
    #[arg(long, value_name = "DIR")]
    pub(crate) destination_dir: PathBuf,
    /// Proxy address (HOST:PORT) [env: TELEPORT_PROXY]
    #[arg(long, value_name = "ADDRESS", alias = "proxy")]
    pub(crate) proxy_server: Option<String>,
    /// Cluster to connect to
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
    /// Arguments for tsh; put -- before them if they start with -
    #[arg(value_name = "ARGUMENTS", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<OsString>,
}

#[derive(Subcommand)]
pub(crate) enum KubeCommand {
    /// Print the certificate and key of an output for kubectl
    Credentials {
        /// Directory of the output to use
        #[arg(long, value_name = "DIR")]
        destination_dir: PathBuf,
    },
}

#[derive(Args)]
pub(crate) struct WaitArgs {
    /// Address of its health server, as in diag_addr
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) diag_addr: String,
    /// Wait only for the service of this name
    #[arg(long, value_name = "NAME")]
    pub(crate) service: Option<String>,
    /// Fail after this time, such as 30s; by default never
    #[arg(long, value_name = "DURATION", default_value = "0", hide_default_value = true)]
    pub(crate) timeout: GoDuration,
}

#[derive(Args)]
pub(crate) struct ValidateArgs {
    /// Files to check; - reads standard input
    #[arg(value_name = "FILE", conflicts_with_all = ["config", "config_string"])]
    pub(crate) files: Vec<PathBuf>,
    /// Output format: human, json or github
    #[arg(long, value_name = "FORMAT", default_value = "human", hide_possible_values = true)]
    pub(crate) format: FormatArg,
    /// Treat warnings as errors
    #[arg(long)]
    pub(crate) strict: bool,
}

/// The format of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    Human,
    Json,
    Github,
}

#[derive(Args)]
pub(crate) struct SchemaArgs {
    /// Schema to print: config, config-v1 or event
    #[arg(value_name = "SCHEMA", hide_possible_values = true)]
    pub(crate) name: SchemaName,
}

/// An embedded schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaName {
    Config,
    ConfigV1,
    Event,
}

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
    #[command(verbatim_doc_comment)]
    Status(Box<RunArgs>),
    /// Show the request that `tbot start` with the same flags
    /// would send, without sending it
    #[command(verbatim_doc_comment)]
    Preview(Box<RunArgs>),
    /// Print the telemetry documentation
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

    fn assert_help_fits(command: &mut clap::Command) {
        for help in [command.render_help(), command.render_long_help()] {
            for line in help.to_string().lines() {
                assert!(line.chars().count() <= 80, "{}: {line}", command.get_name());
            }
        }
        command.get_subcommands_mut().for_each(assert_help_fits);
    }

    #[test]
    fn help_fits_into_80_columns() {
        let mut command = Cli::command();
        command.build();
        assert_help_fits(&mut command);
    }

    #[test]
    fn a_missing_command_of_the_go_agent_gets_its_own_help() {
        for (line, command) in [("tbot init -c a.yaml", "`init`"), ("tbot install systemd", "`install`")] {
            let failure = parse(line.split(' ').map(OsString::from)).err();
            let Some(Failure::Usage(help)) = failure else { panic!("{line}: {failure:?}") };
            assert!(help.contains(command), "{help}");
        }
        let failure = parse(["tbot", "validte"].map(OsString::from)).err();
        assert!(matches!(failure, Some(Failure::CommandLine(_))));
    }

    #[test]
    fn the_proxy_command_of_a_written_ssh_config_is_parsed() {
        let line = "tbot proxy --destination-dir=/out --proxy-server=a:443 ssh --cluster=c  root@h:22";
        let cli = parse(line.split_whitespace().map(OsString::from)).unwrap();
        let Command::Proxy(args) = cli.command else { panic!("not `tbot proxy`") };
        assert_eq!(args.arguments, ["ssh", "--cluster=c", "root@h:22"]);
        assert_eq!((args.cluster, args.proxy_server.as_deref()), (None, Some("a:443")));
    }

    #[test]
    fn global_flags_are_accepted_before_and_after_the_command() {
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
