//! The inputs for issuing the credentials of a service: the service's settings and the agent's context.

use std::path::Path;
use std::time::Duration;

use crate::agent::credential::revocation_list::RevocationList;
use crate::agent::net::dialler::Dialler;
use crate::agent::platform::Clock;
use crate::agent::platform::reminders::RecurringWarnings;
use crate::agent::platform::tasks::UninterruptibleWork;
use crate::agent::teleport::kubernetes_proxy::{KubeProxy, KubeProxyError};
use crate::agent::teleport::once_per_identity::OncePerIdentity;
use crate::agent::teleport::ssh_address::{SshAddress, SshAddressError};
use crate::config::Address;

/// The settings that every service has.
#[derive(Clone, Debug)]
pub(crate) struct ServiceSettings {
    /// The service's name, for logs and errors.
    pub(crate) name: String,
    pub(crate) service_type: &'static str,
    /// The index in the list of `services`, followed by `outputs`.
    pub(crate) index: usize,
    /// Roles to impersonate; if empty, all roles that the bot may impersonate.
    pub(crate) roles: Vec<String>,
    pub(crate) ttl: Duration,
    pub(crate) interval: Duration,
}

/// The addresses of the proxy's protocols, for the services that write them into files.
#[derive(Default)]
pub(crate) struct ProxyAddresses {
    pub(super) ssh: OncePerIdentity<SshAddress, SshAddressError>,
    pub(super) kubernetes: OncePerIdentity<KubeProxy, KubeProxyError>,
}

/// The parts of the agent that services need.
pub(crate) struct IssueContext<'a> {
    pub(crate) dialler: &'a Dialler,
    pub(crate) clock: &'a Clock,
    /// Logs conditions that are found again at every renewal.
    pub(crate) warnings: &'a RecurringWarnings,
    /// Writes files, which the end of the process must not cut off.
    pub(crate) file_work: &'a UninterruptibleWork,
    /// The absolute path of the `tbot` command.
    pub(crate) command: &'a Path,
    /// The proxy address to write into files instead of the one that the proxy advertises.
    pub(crate) proxy_address: Option<&'a Address>,
    /// The address of the proxy that the agent uses. `None` if the agent is connected to an auth server.
    pub(crate) own_proxy_address: Option<Address>,
    pub(crate) proxy_addresses: &'a ProxyAddresses,
    /// The list of revoked X.509 SVIDs, for outputs that write it.
    pub(crate) revocations: RevocationList,
}
