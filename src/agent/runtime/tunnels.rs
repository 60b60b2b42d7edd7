//! Runs a tunnel: connects each client of its listener to the resource, and copies bytes in both directions until both sides
//! have ended theirs.
//!
//! The bytes are neither interpreted nor logged. A connection that has begun continues when its certificate expires or is
//! replaced.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::connections::Connections;
use super::control::Signals;
use super::current_identity::CurrentIdentity;
use super::health::Reporter;
use super::running_agent::RunningAgent;
use super::tunnel_certificate::TunnelCertificate;
use crate::agent::net::byte_stream::BoxedByteStream;
use crate::agent::net::connection_error::{ConnectionError, TlsFailure};
use crate::agent::net::listener::Listener;
use crate::agent::platform::error_text::error_line;
use crate::agent::service::tunnel::Tunnel;

/// The timeout of the connection to the proxy.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// The sizes of a connection's buffers. What is sent to the proxy fills a TLS record; together with TLS, an idle connection takes
/// less than 40 KiB.
const TO_PROXY: usize = 16 * 1024;
const FROM_PROXY: usize = 8 * 1024;

/// Runs one tunnel.
pub(super) struct TunnelRunner {
    agent: Arc<RunningAgent>,
    tunnel: Arc<Tunnel>,
    certificate: TunnelCertificate,
    reporter: Reporter,
}

impl TunnelRunner {
    pub(super) fn new(agent: Arc<RunningAgent>, tunnel: Arc<Tunnel>, reporter: Reporter) -> Arc<Self> {
        reporter.set_on_demand();
        let certificate = TunnelCertificate::new(agent.bot.clock.clone());
        Arc::new(Self { agent, tunnel, certificate, reporter })
    }

    /// Serves clients until dropped; `connections` last longer. Clients wait until the agent has an identity.
    pub(super) async fn run(
        self: Arc<Self>,
        listener: Listener,
        connections: Connections,
        mut current: watch::Receiver<CurrentIdentity>,
        signals: Signals,
    ) {
        if current.wait_for(Option::is_some).await.is_err() {
            return;
        }
        let subject = (self.tunnel.settings.name.as_str(), &self.agent.bot.warnings);
        tokio::join!(
            self.certificate.keep_issued((&self.agent, &self.tunnel), current, signals, &self.reporter),
            connections.accept(&listener, subject, |client| Arc::clone(&self).serve(client)),
        );
    }

    async fn serve(self: Arc<Self>, client: BoxedByteStream) {
        let _open = OpenConnection::new(&self.reporter);
        if self.forward(client).await.is_none() {
            self.reporter.count(|connections| connections.failed += 1);
        }
    }

    /// Forwards one connection until it ends. Returns `None` if the resource cannot be reached.
    async fn forward(&self, mut client: BoxedByteStream) -> Option<()> {
        // If this fails, the task that issues certificates has logged why.
        let access = self.certificate.get().await?;
        // Boxed, so that connections that are open need no memory for it.
        let connecting = timeout(CONNECT_TIMEOUT, Box::pin(access.target.open()));
        let connected = connecting.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let mut server = match connected {
            Ok(server) => server.into_inner(),
            Err(error) => {
                self.warn("cannot connect through the proxy", error);
                return None;
            }
        };
        drop(access);
        let copied =
            tokio::io::copy_bidirectional_with_sizes(&mut client, &mut server, TO_PROXY, FROM_PROXY).await;
        let Err(error) = copied else { return Some(()) };
        let error = ConnectionError::new(error);
        match error.tls_failure() {
            // In TLS 1.3, the proxy refuses a certificate only after the connection is open.
            Some(TlsFailure::ClientExpired | TlsFailure::ClientCaUnknown) => {
                self.warn("the proxy refused the certificate of the tunnel", error);
                None
            }
            // Either side may end at any time.
            _ => {
                let service = &self.tunnel.settings.name;
                tracing::debug!(%service, "a connection ended early: {}", error_line(&error, None));
                Some(())
            }
        }
    }

    fn warn(&self, what: &str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) {
        let error = ConnectionError::new(error);
        let reason = error_line(&error, error.hint().as_ref());
        self.agent.bot.warnings.warn(&self.tunnel.settings.name, format_args!("{what}: {reason}"));
    }
}

/// Counts a connection as open until it is dropped.
struct OpenConnection<'a>(&'a Reporter);

impl<'a> OpenConnection<'a> {
    fn new(reporter: &'a Reporter) -> Self {
        reporter.count(|connections| {
            connections.accepted += 1;
            connections.open += 1;
        });
        Self(reporter)
    }
}

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        self.0.count(|connections| connections.open -= 1);
    }
}
