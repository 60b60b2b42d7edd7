//! Tests idle connections, so that a connection ends if its other end has vanished without closing it.

use std::io;
use std::time::Duration;

use rustix::net::sockopt::{set_socket_keepalive, set_tcp_keepidle, set_tcp_keepintvl};
use tokio::net::TcpStream;

/// How long a connection is idle before the system tests it, and the time between tests.
const INTERVAL: Duration = Duration::from_secs(30);

/// Lets the system test a connection while it is idle.
pub(super) fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    set_socket_keepalive(stream, true)?;
    set_tcp_keepidle(stream, INTERVAL)?;
    Ok(set_tcp_keepintvl(stream, INTERVAL)?)
}
