//! Resolves host names, with an error that names the host, and connects to them.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;

use super::keep_alive::keep_alive;
use crate::agent::platform::Hint;

/// The text that the standard library puts before the reason.
const PREFIX: &str = "failed to lookup address information: ";

/// How long an attempt to connect takes before another address is tried, too.
const ATTEMPT_DELAY: Duration = Duration::from_millis(300);

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
    let tcp = connect_to_first(addresses).await?;
    tcp.set_nodelay(true)?;
    keep_alive(&tcp)?;
    Ok(tcp)
}

/// Opens a connection to one of these addresses. Tries the next one if the attempts so far have failed or have taken
/// [`ATTEMPT_DELAY`], and continues them meanwhile (RFC 8305): otherwise, an address that drops packets would take all the time.
///
/// # Errors
///
/// Returns an error if every attempt fails. This is the first one that is about the server, if there is one: many machines have no
/// route to any IPv6 address.
async fn connect_to_first(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut addresses = addresses.into_iter();
    let mut attempts = JoinSet::new();
    let mut error = None;
    loop {
        let next = addresses.next();
        let has_next = next.is_some();
        if let Some(address) = next {
            attempts.spawn(TcpStream::connect(address));
        }
        // With the last address, only the attempts are waited for.
        let delay =
            async { if has_next { tokio::time::sleep(ATTEMPT_DELAY).await } else { pending().await } };
        let ended = tokio::select! {
            ended = attempts.join_next() => ended,
            () = delay => continue,
        };
        match ended {
            Some(Ok(Ok(connected))) => return Ok(connected),
            Some(Ok(Err(failure))) => keep_most_specific(&mut error, failure),
            Some(Err(failure)) => keep_most_specific(&mut error, io::Error::other(failure)),
            None => {
                let no_address = || io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
                return Err(error.unwrap_or_else(no_address));
            }
        }
    }
}

fn keep_most_specific(kept: &mut Option<io::Error>, failure: io::Error) {
    let has_no_route = |error: &io::Error| {
        matches!(error.kind(), io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable)
    };
    if kept.as_ref().is_none_or(has_no_route) {
        *kept = Some(failure);
    }
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

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};
    use tokio::time::timeout;

    use super::*;

    /// Returns a server that drops the packets of new connections, because its queue is full, with the connections in the queue.
    async fn full_server() -> (TcpListener, Vec<TcpStream>) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let server = socket.listen(0).unwrap();
        let (address, mut queued) = (server.local_addr().unwrap(), Vec::new());
        while let Ok(connected) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
            queued.push(connected.unwrap());
            assert!(queued.len() < 16, "the queue never fills");
        }
        (server, queued)
    }

    #[test]
    fn a_refusal_is_more_specific_than_a_missing_route() {
        use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable, TimedOut};
        for (failures, expected) in [
            (vec![NetworkUnreachable, ConnectionRefused, TimedOut], ConnectionRefused),
            (vec![ConnectionRefused, HostUnreachable], ConnectionRefused),
            (vec![NetworkUnreachable, HostUnreachable], HostUnreachable),
        ] {
            let mut kept = None;
            failures.into_iter().for_each(|kind| keep_most_specific(&mut kept, kind.into()));
            assert_eq!(kept.unwrap().kind(), expected);
        }
    }

    #[tokio::test]
    async fn an_address_that_refuses_or_drops_packets_does_not_hide_the_next_one() {
        let (full, _queued) = full_server().await;
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (full, server) = (full.local_addr().unwrap(), server.local_addr().unwrap());
        for addresses in
            [vec![closed, server], vec![full, server], vec![full, closed, server], vec![server, full]]
        {
            let connected = connect_to_first(addresses).await.unwrap();
            assert_eq!(connected.peer_addr().unwrap(), server);
        }
        let error = connect_to_first(vec![closed, closed]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(connect_to_first(vec![]).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
