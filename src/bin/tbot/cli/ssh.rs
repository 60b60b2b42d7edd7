//! The arguments of `tbot ssh-proxy-command`. They are those of the Go agent, because they are in files that it has written.

use std::num::ParseIntError;
use std::path::PathBuf;

use clap::Args;
use tbot::config::Address;

/// Arguments of the command that `ssh` runs for each connection.
#[derive(Args)]
pub(crate) struct SshProxyCommandArgs {
    /// Directory of the output to use
    #[arg(long, value_name = "DIR")]
    pub(crate) destination_dir: PathBuf,
    /// Proxy address (HOST:PORT)
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) proxy_server: Address,
    /// Cluster of the host
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
    /// User to log in as
    #[arg(long, value_name = "USER")]
    pub(crate) user: String,
    /// Host to connect to
    #[arg(long, value_name = "HOST")]
    pub(crate) host: String,
    /// Port of the host; 0 lets the proxy select it
    #[arg(long, value_name = "PORT", default_value = "0", hide_default_value = true, value_parser = parse_port)]
    pub(crate) port: u16,
    /// The proxy routes all protocols on one port
    #[arg(long, overrides_with = "no_tls_routing")]
    pub(crate) tls_routing: bool,
    /// The address is that of the proxy's SSH port
    #[arg(long, overrides_with = "tls_routing")]
    pub(crate) no_tls_routing: bool,
    /// Something in front of the proxy terminates TLS
    #[arg(long, overrides_with = "no_connection_upgrade")]
    pub(crate) connection_upgrade: bool,
    /// Nothing in front of the proxy terminates TLS
    #[arg(long, overrides_with = "connection_upgrade")]
    pub(crate) no_connection_upgrade: bool,
    /// Has no effect: connections are not resumed
    #[arg(long, overrides_with = "no_resume")]
    pub(crate) resume: bool,
    /// Has no effect: connections are not resumed
    #[arg(long, overrides_with = "resume")]
    pub(crate) no_resume: bool,
}

/// Parses a port, which may be empty, as in commands of the Go agent.
fn parse_port(port: &str) -> Result<u16, ParseIntError> {
    if port.is_empty() { Ok(0) } else { port.parse() }
}
