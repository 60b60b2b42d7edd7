//! The error of a failed connection, and the TLS failure that caused it, which is found in the errors of the libraries.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::{AlertDescription, CertificateError, InvalidMessage};
use tokio::time::error::Elapsed;

use super::connection_upgrade::UpgradeError;
use super::http_tunnel::HttpTunnelError;
use super::resolver::UnresolvedHost;
use crate::agent::platform::Hint;

/// A connection failed, or ended before a usable response. Displays what the errors of the libraries for TLS, HTTP and gRPC
/// say about the cause; the sources are the causes of that.
#[derive(Clone, Debug)]
pub struct ConnectionError(Arc<dyn Error + Send + Sync>);

/// A connection reached another server than the expected one.
#[derive(Debug, thiserror::Error)]
#[error("the connection did not reach {0}")]
pub(super) struct UnexpectedServer(pub(super) &'static str);

impl UnexpectedServer {
    pub(super) const HINT: Hint = Hint::new(
        "something between this machine and the cluster responds instead of it: let connections through unchanged, or use \
         the address of the server itself",
    );
}

impl ConnectionError {
    /// Creates an error from that of a library, or from a message.
    pub(crate) fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Arc::from(error.into()))
    }

    /// Returns the error that this one displays: the first of the chain that says more than that a request failed.
    #[must_use]
    pub fn get_ref(&self) -> &(dyn Error + 'static) {
        // The agent's own errors are complete: what wraps them adds nothing.
        let tunnel = || self.find(own_error::<HttpTunnelError>).map(|error| error as _);
        let host = || self.find(own_error::<UnresolvedHost>).map(|error| error as _);
        if let Some(error) = tunnel().or_else(host) {
            return error;
        }
        let mut error: &(dyn Error + 'static) = &*self.0;
        while is_wrapper(error)
            && let Some(source) = error.source()
        {
            error = source;
        }
        error
    }

    /// Returns the failure of TLS that caused this error, if any.
    pub(crate) fn tls_failure(&self) -> Option<TlsFailure> {
        self.find(TlsFailure::of)
    }

    /// Returns true if the server refused the client's certificate.
    pub(crate) fn is_refused_certificate(&self) -> bool {
        matches!(self.tls_failure(), Some(TlsFailure::ClientExpired | TlsFailure::ClientCaUnknown))
    }

    /// Returns what the operator can do, if that does not depend on the server: if the HTTP proxy is the problem, the
    /// connection was not upgraded, the host name cannot be resolved, another server responded, or the port seems not to use
    /// TLS.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        if let Some(error) = self.find(own_error::<HttpTunnelError>) {
            return Some(error.hint());
        }
        if let Some(error) = self.find(own_error::<UpgradeError>) {
            return Some(error.hint());
        }
        if self.find(own_error::<UnresolvedHost>).is_some() {
            return Some(UnresolvedHost::HINT);
        }
        if self.find(own_error::<UnexpectedServer>).is_some() {
            return Some(UnexpectedServer::HINT);
        }
        match self.tls_failure()? {
            TlsFailure::NotTls => Some(Hint::new(
                "the server on this port does not use TLS (for example, it serves HTTP): use the port that does",
            )),
            TlsFailure::ClosedInHandshake => Some(Hint::new(
                "the server on this port may not use TLS (for example, it serves HTTP), or a load balancer reaches no server: check \
                 the port",
            )),
            _ => None,
        }
    }

    /// Returns true if the connection did not get as far as the server: its name cannot be resolved, or an HTTP proxy
    /// is the problem.
    pub(crate) fn failed_before_server(&self) -> bool {
        self.find(own_error::<HttpTunnelError>).is_some() || self.find(own_error::<UnresolvedHost>).is_some()
    }

    /// Returns true if there was no TCP connection to the server.
    pub(crate) fn failed_before_tls(&self) -> bool {
        let is_tcp_failure = |error: &(dyn Error + 'static)| {
            let kind = error.downcast_ref::<io::Error>().map(io::Error::kind)?;
            matches!(
                kind,
                io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::HostUnreachable
                    | io::ErrorKind::NetworkUnreachable
            )
            .then_some(())
        };
        self.failed_before_server() || self.find(is_tcp_failure).is_some()
    }

    /// Returns true if the server certainly did not process a gRPC call: no connection could be opened for it, or the server refused
    /// its stream, which it may do only before it processes anything (RFC 9113, section 8.7).
    pub(crate) fn was_not_processed(&self) -> bool {
        let is_refused = |error: &h2::Error| error.reason() == Some(h2::Reason::REFUSED_STREAM);
        let is_before = |error: &(dyn Error + 'static)| {
            let is_before = error.is::<tonic::ConnectError>() || error.downcast_ref().is_some_and(is_refused);
            is_before.then_some(())
        };
        self.find(is_before).is_some()
    }

    /// Returns true if there was no connection in time.
    pub(crate) fn is_timeout(&self) -> bool {
        let error = self.get_ref().downcast_ref::<io::Error>();
        error.is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
    }

    /// Returns true if the body of an HTTP request could not be read.
    pub(crate) fn is_of_body(&self) -> bool {
        let is_user = |error: &(dyn Error + 'static)| {
            error.downcast_ref().filter(|error: &&hyper::Error| error.is_user()).map(drop)
        };
        self.find(is_user).is_some()
    }

    /// Returns the first result of `f` for this error and its sources.
    fn find<'a, T>(&'a self, f: impl Fn(&'a (dyn Error + 'static)) -> Option<T>) -> Option<T> {
        let mut next: Option<&(dyn Error + 'static)> = Some(&*self.0);
        while let Some(error) = next {
            if let Some(found) = f(error) {
                return Some(found);
            }
            next = error.source();
        }
        None
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = self.get_ref();
        // Its own text does not say what was waited for.
        if own_error::<Elapsed>(error).is_some() {
            return f.write_str("no response in time");
        }
        if self.tls_failure() == Some(TlsFailure::ClosedInHandshake) {
            return f.write_str("the server closed the connection during the TLS handshake");
        }
        fmt::Display::fmt(error, f)
    }
}

impl Error for ConnectionError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.get_ref().source()
    }
}

/// Returns why an HTTP request has no usable response, without the URL of the request, which may contain secrets.
pub fn failed_request(error: reqwest::Error) -> ConnectionError {
    ConnectionError::new(error.without_url())
}

/// Returns an error of this type, which may be in an I/O error.
fn own_error<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    // `source` of an I/O error skips the error that it contains.
    let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    inner.and_then(|inner| own_error(inner)).or_else(|| error.downcast_ref())
}

/// Returns true if an error only says that a request failed, and its source says why.
fn is_wrapper(error: &(dyn Error + 'static)) -> bool {
    error.is::<reqwest::Error>()
        || error.is::<hyper_util::client::legacy::Error>()
        || error.is::<tonic::transport::Error>()
}

/// Why a TLS connection failed: rustls refused the server's certificate, or the server refused the client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TlsFailure {
    UnknownIssuer,
    NotYetValid,
    Expired,
    ClientCaUnknown,
    ClientExpired,
    /// The response is not TLS, but for example HTTP.
    NotTls,
    /// The server closed the connection without a response to the first message, as servers do that expect another protocol.
    ClosedInHandshake,
    /// The server closed the connection. In TLS 1.3, it refuses a client certificate after the handshake. Its alert gets
    /// lost if the client is still writing: then only the write's error remains.
    Closed,
}

/// The message of `tokio_rustls`.
const HANDSHAKE_EOF: &str = "tls handshake eof";

/// The alerts with which a server refuses the client's certificate.
const CLIENT_ALERTS: [(AlertDescription, TlsFailure); 4] = [
    (AlertDescription::CertificateExpired, TlsFailure::ClientExpired),
    (AlertDescription::UnknownCA, TlsFailure::ClientCaUnknown),
    (AlertDescription::BadCertificate, TlsFailure::ClientCaUnknown),
    (AlertDescription::DecryptError, TlsFailure::ClientCaUnknown),
];

impl TlsFailure {
    /// Recognises the failure in one error, without its sources.
    fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return Self::of_rustls(error);
        }
        if let Some(error) = error.downcast_ref::<hyper::Error>()
            && (error.is_canceled() || error.is_incomplete_message())
        {
            return Some(Self::Closed);
        }
        // HTTP/2 does not return its I/O error as a source.
        let http2_io = || error.downcast_ref::<h2::Error>().and_then(h2::Error::get_io);
        if let Some(error) = error.downcast_ref::<io::Error>().or_else(http2_io) {
            return Self::of_io(error);
        }
        // After the handshake, HTTP/2 replaces an error of rustls by its message.
        let message = error.to_string();
        let is_message_of = |alert| rustls::Error::AlertReceived(alert).to_string() == message;
        CLIENT_ALERTS.into_iter().find_map(|(alert, failure)| is_message_of(alert).then_some(failure))
    }

    fn of_io(error: &io::Error) -> Option<Self> {
        // `source` of an I/O error skips the error that it contains.
        let inner = error.get_ref().and_then(|inner| Self::of(inner));
        let failure = match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Some(Self::Closed),
            // An end after the handshake has another message.
            io::ErrorKind::UnexpectedEof if error.to_string() == HANDSHAKE_EOF => {
                Some(Self::ClosedInHandshake)
            }
            _ => None,
        };
        inner.or(failure)
    }

    fn of_rustls(error: &rustls::Error) -> Option<Self> {
        match error {
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => Some(Self::NotTls),
            rustls::Error::AlertReceived(received) => {
                CLIENT_ALERTS.into_iter().find_map(|(alert, failure)| (alert == *received).then_some(failure))
            }
            rustls::Error::InvalidCertificate(error) => match error {
                CertificateError::UnknownIssuer | CertificateError::BadSignature => Some(Self::UnknownIssuer),
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    Some(Self::NotYetValid)
                }
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => Some(Self::Expired),
                _ => None,
            },
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An error whose source is another one, as in the errors of HTTP libraries.
    #[derive(Debug, thiserror::Error)]
    #[error("client error (Connect)")]
    struct Outer(#[source] io::Error);

    fn tls_failure(error: rustls::Error) -> Option<TlsFailure> {
        ConnectionError::new(Outer(io::Error::new(io::ErrorKind::InvalidData, error))).tls_failure()
    }

    #[tokio::test]
    async fn a_timeout_says_that_there_was_no_response() {
        let elapsed = || tokio::time::timeout(std::time::Duration::ZERO, std::future::pending::<()>());
        let direct = ConnectionError::new(elapsed().await.unwrap_err());
        let in_io =
            ConnectionError::new(io::Error::new(io::ErrorKind::TimedOut, elapsed().await.unwrap_err()));
        assert_eq!([direct, in_io].map(|error| error.to_string()), ["no response in time"; 2]);
    }

    #[test]
    fn errors_of_rustls_are_recognised_in_the_sources() {
        let refused = |error| tls_failure(rustls::Error::InvalidCertificate(error));
        assert_eq!(refused(CertificateError::UnknownIssuer), Some(TlsFailure::UnknownIssuer));
        assert_eq!(refused(CertificateError::NotValidYet), Some(TlsFailure::NotYetValid));
        assert_eq!(refused(CertificateError::Expired), Some(TlsFailure::Expired));
        assert_eq!(refused(CertificateError::NotValidForName), None);
        let http = rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType);
        assert_eq!(tls_failure(http), Some(TlsFailure::NotTls));
        let alert = |alert| tls_failure(rustls::Error::AlertReceived(alert));
        assert_eq!(alert(AlertDescription::UnknownCA), Some(TlsFailure::ClientCaUnknown));
        assert_eq!(alert(AlertDescription::CertificateExpired), Some(TlsFailure::ClientExpired));
        assert_eq!(alert(AlertDescription::InternalError), None);
    }

    #[test]
    fn a_failed_write_means_that_the_server_closed_the_connection() {
        let failure = |error: io::Error| ConnectionError::new(Outer(error)).tls_failure();
        assert_eq!(failure(io::ErrorKind::BrokenPipe.into()), Some(TlsFailure::Closed));
        assert_eq!(failure(io::ErrorKind::ConnectionReset.into()), Some(TlsFailure::Closed));
        assert_eq!(failure(io::Error::new(io::ErrorKind::BrokenPipe, "stream")), Some(TlsFailure::Closed));
        assert_eq!(failure(io::ErrorKind::ConnectionRefused.into()), None);
        let expired = rustls::Error::AlertReceived(AlertDescription::CertificateExpired);
        let write = io::Error::new(io::ErrorKind::ConnectionReset, expired);
        assert_eq!(failure(write), Some(TlsFailure::ClientExpired));
    }

    /// Other errors of the chain say only that a request failed.
    #[test]
    fn an_unresolved_host_is_described_in_one_sentence() {
        let error = io::Error::other("failed to lookup address information: Name or service not known");
        let error = io::Error::other(UnresolvedHost::new("teleport.example.com", &error));
        let error = ConnectionError::new(Outer(error));
        assert_eq!(error.hint(), Some(UnresolvedHost::HINT));
        assert!(error.source().is_none());
        insta::assert_snapshot!(error, @"the host name teleport.example.com cannot be resolved (Name or service not known)");
    }

    #[test]
    fn an_unexpected_server_has_a_hint() {
        let error = ConnectionError::new(Outer(io::Error::other(UnexpectedServer("the auth server"))));
        assert_eq!(error.hint(), Some(UnexpectedServer::HINT));
    }

    #[test]
    fn an_alert_is_recognised_by_its_whole_message_only() {
        let alert = rustls::Error::AlertReceived(AlertDescription::UnknownCA).to_string();
        let failure = |message: String| ConnectionError::new(message).tls_failure();
        assert_eq!(failure(alert.clone()), Some(TlsFailure::ClientCaUnknown));
        assert_eq!(failure(format!("the server said: {alert}")), None);
    }
}
