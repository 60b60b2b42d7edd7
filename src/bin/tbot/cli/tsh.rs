//! `tbot proxy` and `tbot db`, which run `tsh` with the credentials of an output, and the command that kubeconfigs run.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::path_or_empty::path_or_empty;

/// Flags of the commands that run `tsh`.
#[derive(Args)]
pub(crate) struct TshArgs {
    /// Directory of the output to use
    #[arg(long, value_name = "DIR", value_parser = path_or_empty())]
    pub(crate) destination_dir: Option<PathBuf>,
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
