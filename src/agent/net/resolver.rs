//! Resolves host names, with an error that names the host, and connects to them.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustix::net::sockopt::{set_socket_keepalive, set_tcp_keepidle, set_tcp_keepintvl};
use tokio::net::{TcpStream, lookup_host};

use crate::agent::platform::Hint;

/// The text that the standard library puts before the reason.
const PREFIX: &str = "failed to lookup address information: ";

/// How long a connection is idle before the system tests it, and the time between tests.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// A host name cannot be resolved.
#[derive(Debug, thiserror::Error)]
#[error("the host name {host} cannot be resolved ({reason})")]
pub(super) struct UnresolvedHost {
    host: String,
    reason: String,
}

impl UnresolvedHost {
    pub(super) const HINT: Hint = Hint::new("check the host name, and the DNS settings of this machine");

    pub(super) fn new(host: &str, error: &io::Error) -> Self {
        let reason = error.to_string();
        Self { host: host.to_owned(), reason: reason.strip_prefix(PREFIX).unwrap_or(&reason).to_owned() }
    }
}

/// Opens a connection to the first address of a host that accepts it. An error may contain an [`UnresolvedHost`].
pub(super) async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let addresses = resolve(host, port).await.map_err(io::Error::other)?;
    let tcp = TcpStream::connect(&addresses[..]).await?;
    tcp.set_nodelay(true)?;
    // Detects a server that has vanished, even if the connection is idle.
    set_socket_keepalive(&tcp, true)?;
    set_tcp_keepidle(&tcp, KEEP_ALIVE)?;
    set_tcp_keepintvl(&tcp, KEEP_ALIVE)?;
    Ok(tcp)
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, UnresolvedHost> {
    let addresses = lookup_host((host, port)).await.map_err(|error| UnresolvedHost::new(host, &error))?;
    Ok(addresses.collect())
}

/// Resolves the names in the URLs of HTTP requests.
pub(super) struct HttpResolver;

impl Resolve for HttpResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // The client replaces the port.
            let addresses = resolve(name.as_str(), 0).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
