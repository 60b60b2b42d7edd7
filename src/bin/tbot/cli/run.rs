//! The flags of `tbot start` and of the commands that show or write what it would run.

use std::path::PathBuf;

use clap::Args;

use super::path_or_empty::path_or_empty;
use super::service_args::ServiceArgs;
use super::service_command;

/// Overrides of single properties, and optionally one service in addition to those of the file.
#[derive(Args)]
#[command(
    subcommand_value_name = "SERVICE",
    subcommand_help_heading = service_command::HEADING,
    disable_help_subcommand = true
)]
pub(crate) struct RunArgs {
    /// Write one identity to this directory instead of
    /// running the `services` of the file. Its `outputs`
    /// still run
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
    /// memory:// or kubernetes-secret:///NAME [alias: --data-dir]
    #[arg(long, global = true, value_name = "URI", verbatim_doc_comment)]
    pub(crate) storage: Option<String>,
    #[arg(long, global = true, hide = true, value_name = "URI")]
    pub(crate) data_dir: Option<String>,
    /// Lifetime of credentials, such as 1h [alias: --credential-ttl]
    #[arg(long, global = true, value_name = "DURATION")]
    pub(crate) certificate_ttl: Option<String>,
    #[arg(long, global = true, hide = true, value_name = "DURATION")]
    pub(crate) credential_ttl: Option<String>,
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
    #[arg(long, global = true, value_name = "FILE", value_parser = path_or_empty())]
    pub(crate) pid_file: Option<PathBuf>,
}
