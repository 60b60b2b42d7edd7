//! The state that all connections of a cluster share. The modules that serve calls extend [`Shared`] with their
//! methods.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::authorities::Authorities;
use crate::call_log::CallLog;
use crate::clock::Clock;
use crate::events::Watchers;
use crate::faults::Faults;
use crate::in_progress::InProgress;
use crate::method;
use crate::proto::Metadata;
use crate::revocations::Revocations;
use crate::state::State;
use crate::tls::{ProtocolVersions, TlsConfigs};

/// The version that a cluster reports by default: that of the recordings.
pub const SERVER_VERSION: &str = "15.0.0-dev";

/// Everything that a call may need.
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) clock: Clock,
    pub(crate) server_version: String,
    /// The address of the proxy.
    pub(crate) addr: SocketAddr,
    /// The auth server's own address.
    pub(crate) auth_addr: SocketAddr,
    /// The proxy's own address for SSH.
    pub(crate) ssh_addr: SocketAddr,
    pub(crate) tls_versions: ProtocolVersions,
    /// Whether the proxy serves SSH at its web address, and not at that one.
    pub(crate) has_tls_routing: AtomicBool,
    /// The address that the cluster advertises for the proxy, if it is not its own.
    pub(crate) advertised_addr: OnceLock<String>,
    /// The address of the proxy that the auth server names, if it is not this one.
    pub(crate) other_proxy: OnceLock<String>,
    pub(crate) authorities: Mutex<Authorities>,
    /// Replaced at each step of a rotation.
    pub(crate) tls: Mutex<Arc<TlsConfigs>>,
    pub(crate) web_ca_pem: String,
    pub(crate) watchers: Watchers,
    pub(crate) revocations: Revocations,
    pub(crate) state: Mutex<State>,
    pub(crate) faults: Faults,
    pub(crate) log: CallLog,
    pub(crate) in_progress: InProgress,
    /// How many connections were for reverse tunnels.
    pub(crate) reverse_tunnels: AtomicUsize,
    /// The `id` of every resource: the start of the cluster in nanoseconds since the epoch.
    pub(crate) id: i64,
    /// The `revision` of every resource.
    pub(crate) revision: String,
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn authorities(&self) -> MutexGuard<'_, Authorities> {
        self.authorities.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn tls(&self) -> Arc<TlsConfigs> {
        self.tls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_tls(&self, tls: TlsConfigs) {
        *self.tls.lock().unwrap_or_else(PoisonError::into_inner) = tls.into();
    }

    /// The address of the proxy that the cluster advertises.
    pub(crate) fn proxy_public_addr(&self) -> String {
        self.advertised_addr.get().cloned().unwrap_or_else(|| self.addr.to_string())
    }

    /// The major version that the cluster reports: 18 for `18.2.5`.
    pub(crate) fn major_version(&self) -> u32 {
        self.version().0
    }

    /// The major and the minor version that the cluster reports: 18 and 2 for `18.2.5`.
    pub(crate) fn version(&self) -> (u32, u32) {
        let mut numbers = self.server_version.split('.').map(|number| number.parse().unwrap_or_default());
        let mut next = || numbers.next().unwrap_or_default();
        (next(), next())
    }

    /// Whether the version that the cluster reports offers `method`.
    pub(crate) fn offers(&self, method: &str) -> bool {
        method::is_offered(method, self.version())
    }

    /// The metadata of a resource. All resources are as old as the cluster, so they share its id and revision.
    pub(crate) fn metadata(&self, name: &str) -> Metadata {
        Metadata {
            name: name.to_owned(),
            namespace: "default".to_owned(),
            id: self.id,
            revision: self.revision.clone(),
            ..Metadata::default()
        }
    }
}
