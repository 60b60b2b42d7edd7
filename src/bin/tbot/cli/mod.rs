//! The command line: its commands and flags, as clap parses them. Reads no environment variable.
//!
//! Flags have the names and short forms of Teleport's `tbot`. Help is at most 80 columns wide, which a test checks.
//!
//! `xtask` compiles this directory as well, for the manual pages and the completion scripts, so nothing in it depends on the
//! rest of the program.

mod global;
mod go_agent;
mod install;
mod keypair;
mod negations;
mod path_or_empty;
mod run;
mod service_args;
mod service_command;
mod shell;
mod ssh;
mod telemetry;
mod tsh;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use tbot::config::GoDuration;

pub(crate) use global::{ColourChoice, GlobalArgs, LogFormat};
pub(crate) use go_agent::MISSING;
pub(crate) use install::{InstallArgs, InstallCommand, SystemdArgs};
pub(crate) use keypair::{KeypairArgs, KeypairCommand, KeypairCreateArgs, KeypairFormat};
pub(crate) use run::{BotArgs, RunArgs};
pub(crate) use service_args::{FlagValue, GivenFlag, ServiceArgs};
pub(crate) use service_command::{NamedCommand, service_commands};
pub(crate) use shell::Shell;
pub(crate) use ssh::SshProxyCommandArgs;
pub(crate) use telemetry::{
    TelemetryArgs, TelemetryCommand, TelemetryExplainArgs, TelemetryFormat, TelemetryRunArgs,
};
pub(crate) use tsh::{KubeCommand, TshArgs};

/// Machine ID agent for Teleport
///
/// Joins a Teleport cluster as a bot, writes short-lived credentials for other
/// programs, and renews them before they expire.
#[derive(Parser)]
#[command(name = "tbot", verbatim_doc_comment, styles = STYLES)]
#[command(subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = "Example:
  tbot start -c tbot.yaml

`tbot COMMAND --help` lists the options of a command, and `tbot --help` those of
all commands.")]
#[command(after_long_help = "Example:
  tbot start -c tbot.yaml

`tbot COMMAND --help` lists the options of a command. Global options are
accepted before and after each command; its help lists those that have an effect
on it.

Exit status: 0 success, 1 runtime failure, 2 usage error or unreadable file,
3 invalid configuration.")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The colours of help and of errors.
pub(crate) const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Returns the definition of the command line. `version` is what `tbot --version` prints after the name of the program.
pub(crate) fn command(version: String) -> clap::Command {
    global::list_where_effective(negations::add(Cli::command().version(version)))
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Join the cluster, write credentials and keep renewing them
    #[command(after_help = "Example:
  tbot start -c tbot.yaml --oneshot

`tbot start SERVICE --help` lists the options of a service, which is added to
those of the file. The prefix no- turns off what the file or a variable turns
on, as in --no-oneshot.")]
    Start(Box<RunArgs>),
    /// Run `tsh proxy` with the credentials of an output
    #[command(after_help = "Example:
  tbot proxy --destination-dir /opt/machine-id \\
    --proxy-server teleport.example.com:443 ssh root@host

Without --destination-dir, uses the directory of the configuration of --config,
TBOT_CONFIG_PATH or ./tbot.yaml, which must have one output with a directory.
Without a proxy address, uses that of the configuration. If tsh is not in PATH,
set TSH to its path.")]
    Proxy(TshArgs),
    /// Run `tsh db` with the credentials of an output
    #[command(after_help = "Example:
  tbot db --destination-dir /opt/machine-id \\
    --proxy-server teleport.example.com:443 connect orders-db

Without --destination-dir, uses the directory of the configuration of --config,
TBOT_CONFIG_PATH or ./tbot.yaml, which must have one output with a directory.
Without a proxy address, uses that of the configuration. If tsh is not in PATH,
set TSH to its path.")]
    Db(TshArgs),
    /// Commands for kubeconfig files that tbot has written
    #[command(hide = true)]
    Kube {
        #[command(subcommand)]
        command: KubeCommand,
    },
    /// Connect to a host, for ssh_config files that tbot has written
    #[command(name = "ssh-proxy-command", hide = true, override_usage = "tbot ssh-proxy-command [OPTIONS]")]
    SshProxy(SshProxyCommandArgs),
    /// Print a configuration built from flags
    #[command(after_help = "Example:
  tbot configure identity --destination /opt/machine-id \\
    --proxy-server teleport.example.com:443 --join-method github \\
    --token ci-token --output tbot.yaml")]
    Configure(Box<ConfigureArgs>),
    /// Convert a version 1 configuration file to version 2
    #[command(after_help = "Example:
  tbot migrate old.yaml --output tbot.yaml

Without FILE, converts the file of --config, TBOT_CONFIG_PATH or ./tbot.yaml.")]
    Migrate(MigrateArgs),
    /// Check configuration files
    #[command(after_help = "Example:
  tbot validate tbot.yaml

Without FILE, checks the file of --config, TBOT_CONFIG_PATH or ./tbot.yaml.
Exit status: 0 all files valid, 2 a file cannot be read, 3 a file is invalid.")]
    Validate(ValidateArgs),
    /// Explain a code that `tbot validate` reports
    #[command(after_help = "Example:
  tbot explain unknown-key")]
    Explain(ExplainArgs),
    /// Print a JSON Schema
    #[command(after_help = "Example:
  tbot schema config > tbot.schema.json")]
    Schema(SchemaArgs),
    /// Show whether anonymous telemetry is on and what it sends
    #[command(after_help = "Example:
  tbot telemetry preview -c tbot.yaml")]
    Telemetry(TelemetryArgs),
    /// Create key pairs for the join method bound_keypair
    #[command(after_help = "Example:
  tbot keypair create --proxy-server teleport.example.com:443")]
    Keypair(KeypairArgs),
    /// Prepare the directory of an output for the user of the agent
    #[command(after_help = "Example:
  tbot init -c tbot.yaml --bot-user tbot --reader-user deploy

Root runs this once. It creates the files of the output, which belong to the
user of the agent, and gives the reader access with ACLs.")]
    Init(InitArgs),
    /// Install the agent as a service of this machine
    #[command(after_help = "Example:
  tbot install systemd -c /etc/tbot.yaml --write")]
    Install(InstallArgs),
    /// Copy this program to a directory
    #[command(after_help = "Example:
  tbot copy-binaries /shared

The program becomes the file tbot in the directory, which must exist. This needs
no shell, so an init container can copy it to the volume of another container.")]
    CopyBinaries(CopyBinariesArgs),
    /// Wait until a running agent is ready
    #[command(after_help = "Example:
  tbot wait --diag-addr 127.0.0.1:3001 --timeout 30s")]
    Wait(WaitArgs),
    /// Print a script that completes commands and options in a shell
    #[command(after_help = "Example:
  tbot completions bash > /etc/bash_completion.d/tbot

For zsh, write the script to _tbot in a directory of fpath; for fish, to
~/.config/fish/completions/tbot.fish.")]
    Completions(CompletionsArgs),
    /// Print what can follow an incomplete command line
    #[command(name = "__complete", hide = true)]
    Complete(CompleteArgs),
    /// Print the version
    #[command(after_help = "Example:
  tbot version")]
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
    /// File to convert; - reads standard input [default: tbot.yaml]
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

#[derive(Args)]
pub(crate) struct InitArgs {
    /// User that the agent runs as
    #[arg(long, value_name = "USER", required_unless_present = "owner")]
    pub(crate) bot_user: Option<String>,
    /// User that may read the files
    #[arg(long, value_name = "USER")]
    pub(crate) reader_user: Option<String>,
    /// Owner [default: --bot-user and its group]
    #[arg(long, value_name = "USER:GROUP")]
    pub(crate) owner: Option<String>,
    /// Directory of the output, if there are several
    #[arg(long, value_name = "DIR")]
    pub(crate) init_dir: Option<String>,
    /// Directory of an identity output, without a file
    #[arg(long, value_name = "DIR")]
    pub(crate) destination_dir: Option<String>,
    /// Remove files that do not belong to the output
    #[arg(long)]
    pub(crate) clean: bool,
    /// Has no effect: the command connects to no cluster
    #[arg(short, long, value_name = "ADDRESS", hide = true)]
    pub(crate) auth_server: Option<String>,
    /// Has no effect: the command connects to no cluster
    #[arg(long, value_name = "ADDRESS", hide = true)]
    pub(crate) proxy_server: Option<String>,
}

#[derive(Args)]
pub(crate) struct CopyBinariesArgs {
    /// Existing directory
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Has no effect: no program needs fdpass-teleport
    #[arg(long, hide = true)]
    pub(crate) include_fdpass: bool,
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
    /// Files to check; - reads standard input [default: tbot.yaml]
    #[arg(value_name = "FILE", conflicts_with_all = ["config", "config_string"])]
    pub(crate) files: Vec<PathBuf>,
    /// Format: human, json, github or sarif
    #[arg(long, value_name = "FORMAT", default_value = "human", hide_possible_values = true)]
    pub(crate) format: FormatArg,
    /// Treat warnings as errors
    #[arg(long)]
    pub(crate) strict: bool,
    /// Print only diagnostics: nothing for a valid file
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Args)]
pub(crate) struct ExplainArgs {
    /// Code to explain; without it, all codes are listed
    #[arg(value_name = "CODE")]
    pub(crate) code: Option<String>,
}

/// The format of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    Human,
    Json,
    Github,
    Sarif,
}

#[derive(Args)]
pub(crate) struct CompletionsArgs {
    /// Shell: bash, zsh or fish
    #[arg(value_name = "SHELL", hide_possible_values = true)]
    pub(crate) shell: Shell,
}

#[derive(Args)]
pub(crate) struct CompleteArgs {
    /// The words after the name of the program, up to the cursor
    #[arg(value_name = "WORDS", last = true)]
    pub(crate) words: Vec<OsString>,
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
