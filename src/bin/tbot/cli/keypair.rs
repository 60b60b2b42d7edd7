//! `tbot keypair`, which creates key pairs for the join method `bound_keypair`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::path_or_empty::path_or_empty;

#[derive(Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct KeypairArgs {
    #[command(subcommand)]
    pub(crate) command: KeypairCommand,
}

#[derive(Subcommand)]
pub(crate) enum KeypairCommand {
    /// Create a key pair, and print its public key
    #[command(after_help = "Example:
  tbot keypair create --proxy-server teleport.example.com:443 \\
    --storage /var/lib/teleport/bot

The public key is set in the join token, before the bot joins. The proxy says
which type of key the cluster prefers. Without --storage, the key pair is in
/var/lib/teleport/bot, as for `tbot start`.")]
    Create(KeypairCreateArgs),
}

#[derive(Args)]
pub(crate) struct KeypairCreateArgs {
    /// Proxy address (HOST:PORT) [env: TELEPORT_PROXY]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) proxy_server: Option<String>,
    /// Directory, or kubernetes-secret:///NAME;
    /// has no effect with --static
    #[arg(long, value_name = "URI", verbatim_doc_comment)]
    pub(crate) storage: Option<String>,
    /// Replace an existing key pair
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Create a static key; print its private key
    #[arg(id = "static_key", long = "static")]
    pub(crate) is_static: bool,
    /// Write the private key to this file instead
    #[arg(long, value_name = "FILE", requires = "static_key", value_parser = path_or_empty())]
    pub(crate) static_key_path: Option<PathBuf>,
    /// Output format: text or json
    #[arg(long, value_name = "FORMAT", default_value = "text", hide_possible_values = true)]
    pub(crate) format: KeypairFormat,
}

/// The format in which `tbot keypair create` prints a key pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeypairFormat {
    Text,
    Json,
}
