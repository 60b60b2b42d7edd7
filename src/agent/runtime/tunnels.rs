//! Runs a tunnel: connects each client of its listener to the resource, and copies bytes in both directions until both sides
//! have ended theirs.
//!
//! The bytes are neither interpreted nor logged. A connection that has begun continues when its certificate expires or is
//! replaced.

use std::sync::{Arc, Once, Weak};

use tokio::sync::watch;
use tokio_util::io::InspectReader;

use super::connections::{Connections, OpenConnection};
use super::control::Signals;
use super::current_identity::{CurrentIdentity, first_identity};
use super::health::Reporter;
use super::running_agent::RunningAgent;
use super::shared_access::SharedAccess;
use crate::agent::credential::identity::Identity;
use crate::agent::credential::revocation_list::RevocationList;
use crate::agent::net::byte_stream::BoxedByteStream;
use crate::agent::net::connection_error::ConnectionError;
use crate::agent::net::dialler::DialTarget;
use crate::agent::net::listener::Listener;
use crate::agent::platform::error_text::error_line;
use crate::agent::service::listening::IssuedAccess;
use crate::agent::service::tunnel::Tunnel;

/// The sizes of a connection's buffers. What is sent to the proxy fills a TLS record; together with TLS, an idle connection takes
/// less than 40 KiB.
const TO_PROXY: usize = 16 * 1024;
const FROM_PROXY: usize = 8 * 1024;

/// Runs one tunnel.
pub(super) struct TunnelRunner {
    agent: Arc<RunningAgent>,
    tunnel: Arc<Tunnel>,
    access: SharedAccess<DialTarget>,
    reporter: Reporter,
}

impl TunnelRunner {
    pub(super) fn new(agent: Arc<RunningAgent>, tunnel: Arc<Tunnel>, reporter: Reporter) -> Arc<Self> {
        reporter.set_on_demand();
        reporter.set_has_clients();
        let access = SharedAccess::new(agent.bot.clock.clone());
        Arc::new(Self { agent, tunnel, access, reporter })
    }

    /// Serves clients until dropped; `connections` last longer. Clients wait until the agent has an identity.
    pub(super) async fn run(
        self: Arc<Self>,
        listener: Listener,
        connections: Connections,
        mut current: watch::Receiver<CurrentIdentity>,
        signals: Signals,
    ) {
        if first_identity(&mut current, &self.reporter).await.is_none() {
            return;
        }
        let (agent, tunnel, name) = (&self.agent, &self.tunnel, self.name());
        let issue = |client, identity: Arc<Identity>| async move {
            tunnel.issue(&client, &identity, &agent.issue_context(RevocationList::Absent)).await
        };
        tokio::join!(
            self.access.keep_issued((agent, name), issue, None, current, signals, &self.reporter),
            connections
                .accept(&listener, (name, &agent.bot.warnings), |client| Arc::clone(&self).serve(client)),
        );
    }

    fn name(&self) -> &str {
        &self.tunnel.listener.service.name
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
        let access = self.access.get().await.ok()?;
        // Boxed, so that connections that are open need no memory for it.
        let opened = Box::pin(access.value.open_in_time()).await.map_err(ConnectionError::new);
        // Not kept, so that connections that are open need no memory for it.
        let access = Arc::downgrade(&{ access });
        let server = match opened {
            Ok(server) => server.into_inner(),
            Err(error) => return self.unreachable(&access, &error),
        };
        // In TLS 1.3, the proxy refuses a certificate only after the connection is open: it is accepted once something is received,
        // be it the end.
        let accepted = Once::new();
        let report_accepted = |_: &[u8]| accepted.call_once(|| self.reporter.set_unreachable(None));
        let mut server = InspectReader::new(server, report_accepted);
        let copied =
            tokio::io::copy_bidirectional_with_sizes(&mut client, &mut server, TO_PROXY, FROM_PROXY).await;
        let Err(error) = copied.map_err(ConnectionError::new) else { return Some(()) };
        if error.is_refused_certificate() {
            return self.unreachable(&access, &error);
        }
        // Either side may end at any time.
        tracing::debug!(service = self.name(), "a connection ended early: {}", error_line(&error, None));
        Some(())
    }

    /// Reports why a connection to the resource could not be opened with `access`. Returns `None`.
    fn unreachable(&self, access: &Weak<IssuedAccess<DialTarget>>, error: &ConnectionError) -> Option<()> {
        let what = if error.is_refused_certificate() {
            self.access.discard(access);
            "the proxy refused the certificate of the tunnel"
        } else {
            "cannot connect through the proxy"
        };
        let reason = format!("{what}: {}", error_line(error, error.hint().as_ref()));
        self.agent.bot.warnings.warn(self.name(), &reason);
        self.reporter.set_unreachable(Some(reason));
        None
    }
}
