//! Listens for local programs, on a TCP address or a Unix socket.
//!
//! The socket file is accessible only by the user of the agent. One that a killed agent left behind is replaced; anything
//! else at its path is refused and stays as it is. Knows nothing about what the connections are for.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::io::Errno;
use tokio::net::{TcpListener, UnixListener, UnixSocket, UnixStream};

use super::byte_stream::BoxedByteStream;
use super::keep_alive::keep_alive;
use crate::agent::platform::Hint;
use crate::config::{ListenAddress, ListenUri};

/// The permissions of a socket: only the user of the agent can connect.
const SOCKET_MODE: Mode = Mode::from_raw_mode(0o600);
/// The number of clients that can wait to be accepted. The kernel may have a lower limit.
const BACKLOG: u32 = 1024;

/// The agent cannot listen on an address.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {uri}")]
pub struct ListenerError {
    uri: ListenUri,
    #[source]
    problem: ListenerProblem,
}

/// Why the agent cannot listen on an address.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenerProblem {
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A program listens on this socket.
    #[error("another program listens on this socket")]
    InUse,
    /// There is something else than a socket at this path.
    #[error("there is a file at this path that is not a socket")]
    NotASocket,
    /// The socket that was left behind belongs to another user.
    #[error("the socket at this path belongs to the user {0}")]
    OtherOwner(u32),
}

impl ListenerError {
    /// Returns the reason.
    #[must_use]
    pub fn problem(&self) -> &ListenerProblem {
        &self.problem
    }

    /// Returns advice for the operator, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        let hint = match (&self.problem, &self.uri) {
            (ListenerProblem::Io(error), ListenUri::Unix(_)) if error.kind() == io::ErrorKind::NotFound => {
                "create the directory of the socket"
            }
            (ListenerProblem::Io(_), ListenUri::Unix(_)) => {
                "set listen to a path in a directory that the user of the agent can write to, with at most 107 bytes"
            }
            (ListenerProblem::Io(_), ListenUri::Tcp(_)) => "set listen to a free port of this machine",
            (ListenerProblem::InUse, _) => "stop the other program, or set listen to another path",
            (ListenerProblem::NotASocket | ListenerProblem::OtherOwner(_), _) => {
                "remove it, or set listen to another path"
            }
        };
        Some(Hint::new(hint))
    }
}

/// A listening socket. Dropping it closes the socket and removes its file.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixSocketListener),
}

impl Listener {
    /// Listens on an address.
    pub(crate) async fn bind(uri: &ListenUri) -> Result<Self, ListenerError> {
        let bound = match uri {
            ListenUri::Tcp(address) => bind_tcp(address).await.map(Self::Tcp).map_err(ListenerProblem::from),
            ListenUri::Unix(path) => UnixSocketListener::bind(path).await.map(Self::Unix),
        };
        bound.map_err(|problem| ListenerError { uri: uri.clone(), problem })
    }

    /// Returns the TCP address with the port that the system chose. `None` for a Unix socket.
    pub(crate) fn tcp_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    /// Waits for the next client.
    pub(crate) async fn accept(&self) -> io::Result<BoxedByteStream> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Without this, small messages wait for acknowledgements. A failure only makes the connection slower.
                let _ = stream.set_nodelay(true);
                // Without this, a client that has vanished would keep its connection forever.
                let _ = keep_alive(&stream);
                Ok(Box::new(stream))
            }
            Self::Unix(socket) => Ok(Box::new(socket.listener.accept().await?.0)),
        }
    }
}

/// Listens on an address, or on all addresses of the machine if the host is missing.
pub(crate) async fn bind_tcp(address: &ListenAddress) -> io::Result<TcpListener> {
    let port = address.port();
    match address.host() {
        Some(host) => TcpListener::bind((host, port)).await,
        // If the machine has IPv6, this also accepts IPv4 connections.
        None => match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
            Err(error) if has_no_ipv6(&error) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await,
            bound => bound,
        },
    }
}

/// Returns true if an IPv6 address could not be bound because the machine has none.
fn has_no_ipv6(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL))
}

/// A Unix socket that listens.
#[derive(Debug)]
pub(crate) struct UnixSocketListener {
    listener: UnixListener,
    path: PathBuf,
    /// The device and the inode of the file.
    id: (u64, u64),
}

impl UnixSocketListener {
    async fn bind(path: &Path) -> Result<Self, ListenerProblem> {
        let listener = match try_bind_unix(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                remove_stale(path).await?;
                try_bind_unix(path)?
            }
            bound => bound?,
        };
        let file = fs::symlink_metadata(path)?;
        Ok(Self { listener, path: path.to_owned(), id: (file.dev(), file.ino()) })
    }
}

/// Removes the file, unless something else has replaced it.
impl Drop for UnixSocketListener {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|file| (file.dev(), file.ino()) == self.id) {
            // If this fails, the next start replaces the socket.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn try_bind_unix(path: &Path) -> io::Result<UnixListener> {
    let socket = UnixSocket::new_stream()?;
    // The file gets the mode of the socket, so that there is no moment at which others can connect.
    rustix::fs::fchmod(&socket, SOCKET_MODE)?;
    socket.bind(path)?;
    socket.listen(BACKLOG)
}

/// Removes a socket of this user on which no program listens.
async fn remove_stale(path: &Path) -> Result<(), ListenerProblem> {
    let file = fs::symlink_metadata(path)?;
    if !file.file_type().is_socket() {
        return Err(ListenerProblem::NotASocket);
    }
    if file.uid() != rustix::process::geteuid().as_raw() {
        return Err(ListenerProblem::OtherOwner(file.uid()));
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(fs::remove_file(path)?),
        // Also if its queue is full.
        Ok(_) | Err(_) => Err(ListenerProblem::InUse),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn uri(path: &Path) -> ListenUri {
        ListenUri::Unix(path.to_owned())
    }

    #[tokio::test]
    async fn a_socket_is_private_and_disappears_with_its_listener() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        let listener = Listener::bind(&uri(&path)).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let mut client = UnixStream::connect(&path).await.unwrap();
        let mut server = listener.accept().await.unwrap();
        client.write_all(b"a").await.unwrap();
        assert_eq!(server.read_u8().await.unwrap(), b'a');
        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_socket_that_was_left_behind_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let first = Listener::bind(&uri(&path)).await.unwrap();
        let refused = Listener::bind(&uri(&path)).await.unwrap_err();
        assert!(matches!(refused.problem(), ListenerProblem::InUse), "{refused:?}");
        UnixStream::connect(&path).await.unwrap();
        drop(first);
    }

    #[tokio::test]
    async fn an_entry_that_is_not_a_socket_is_refused_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "precious").unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(directory.path().join("nowhere"), &link).unwrap();
        for path in [&file, &link] {
            let refused = Listener::bind(&uri(path)).await.unwrap_err();
            assert!(matches!(refused.problem(), ListenerProblem::NotASocket), "{refused:?}");
        }
        assert_eq!(fs::read(&file).unwrap(), b"precious");
        assert!(link.is_symlink());
        let missing = Listener::bind(&uri(&directory.path().join("no/a.sock"))).await.unwrap_err();
        assert!(matches!(missing.problem(), ListenerProblem::Io(_)), "{missing:?}");
        assert_eq!(missing.hint(), Some(Hint::new("create the directory of the socket")));
    }

    #[tokio::test]
    #[ignore = "needs root: gives a socket to another user"]
    async fn a_socket_that_another_user_left_behind_is_refused_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
        let refused = Listener::bind(&uri(&path)).await.unwrap_err();
        assert!(matches!(refused.problem(), ListenerProblem::OtherOwner(65534)), "{refused:?}");
        assert!(path.exists());
    }

    #[tokio::test]
    async fn a_replaced_socket_file_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        let listener = Listener::bind(&uri(&path)).await.unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "of another program").unwrap();
        drop(listener);
        assert!(path.exists());
    }

    #[tokio::test]
    async fn the_system_chooses_a_port_in_place_of_0() {
        let listener = Listener::bind(&"tcp://127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.tcp_address().unwrap();
        assert_ne!(address.port(), 0);
        let refused = Listener::bind(&format!("tcp://{address}").parse().unwrap()).await.unwrap_err();
        assert!(matches!(refused.problem(), ListenerProblem::Io(_)), "{refused:?}");
    }
}
