//! Discovers the server before each request for an identity, and checks that it belongs to the same cluster.

use std::sync::MutexGuard;

use super::{Bot, JoinSettings, RenewalError};
use crate::agent::bot::IDENTITY;
use crate::agent::credential::cluster_name::ClusterName;
use crate::agent::net::known_server::ServerKind;
use crate::agent::platform::error_text::error_line;
use crate::agent::platform::lock::lock;
use crate::agent::teleport::discovery::{self, AddressField, DiscoveredServer};
use crate::config::Address;

impl Bot {
    /// Returns the address of the proxy: the public address that it advertises, if any, else the configured address. `None` if
    /// the agent is connected to an auth server.
    pub(crate) fn proxy_address(&self) -> Option<Address> {
        if let Some(DiscoveredServer::Proxy(cluster)) = &*self.lock_discovered()
            && let Some(advertised) = &cluster.proxy_public_addr
        {
            return Some(advertised.clone());
        }
        (self.dialler.kind() == ServerKind::Proxy).then(|| self.dialler.address().clone())
    }

    /// Discovers the cluster, each time, because an agent runs longer than a cluster's address and version stay the same.
    /// Returns the name of the cluster.
    ///
    /// # Errors
    ///
    /// Returns [`RenewalError::OtherCluster`] if this is not the cluster of the stored identity.
    pub(super) async fn discover_same(
        &self,
        stored: Option<ClusterName>,
    ) -> Result<ClusterName, RenewalError> {
        let JoinSettings { address_field, .. } = &self.join_settings;
        if self.dialler.kind() == ServerKind::Proxy
            && let Err(error) = self.dialler.web().reload_roots().await
        {
            self.warnings.warn(
                IDENTITY,
                format_args!(
                    "using the previous root certificates: {}",
                    error_line(&error, error.hint().as_ref())
                ),
            );
        }
        let discovered = discovery::discover(&self.dialler, *address_field).await?;
        for problem in discovered.problems() {
            self.warnings.warn(IDENTITY, problem);
        }
        let served = discovered.cluster_name().clone();
        if let Some(stored) = stored.filter(|stored| *stored != served) {
            let server = self.dialler.address().clone();
            let (stored, served) = (stored.to_string(), served.to_string());
            return Err(RenewalError::OtherCluster { stored, served, server });
        }
        let previous = self.lock_discovered().replace(discovered);
        if previous.is_none() {
            self.log_unexpected_proxy();
        }
        Ok(served)
    }

    /// Logs if the configured auth server is a proxy.
    fn log_unexpected_proxy(&self) {
        let JoinSettings { address_field, trust, .. } = &self.join_settings;
        if *address_field != AddressField::AuthServer || self.dialler.kind() != ServerKind::Proxy {
            return;
        }
        let address = self.dialler.address();
        tracing::info!(%address, "the server in auth_server is a proxy: write its address to proxy_server instead");
        if trust.names_authorities() {
            tracing::warn!(
                "{trust} is ignored, because {address} is a proxy, which is verified with the system's root certificates"
            );
        }
    }

    /// Returns the major version of the servers as they were discovered last, or 0 if it is unknown.
    pub(super) fn server_version(&self) -> u32 {
        self.lock_discovered().as_ref().map_or(0, DiscoveredServer::major_version)
    }

    /// Decides how to verify the auth server in a join, unless there is a proxy.
    pub(super) async fn trust_auth_server(&self) -> Result<(), RenewalError> {
        let host_cas = match &*self.lock_discovered() {
            Some(DiscoveredServer::Auth(server)) => server.host_cas.clone(),
            Some(DiscoveredServer::Proxy(_)) | None => return Ok(()),
        };
        let trust = self.join_settings.trust.resolve(&host_cas, &self.clock).await?;
        self.dialler.set_trust_before_join(trust);
        Ok(())
    }

    fn lock_discovered(&self) -> MutexGuard<'_, Option<DiscoveredServer>> {
        lock(&self.discovered)
    }
}
