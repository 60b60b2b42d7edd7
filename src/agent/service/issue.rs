//! Issues the certificates of one service: first for the roles alone, to look up the resource, then for that resource.
//! Writes nothing.

use std::fmt::Display;
use std::path::Path;

use tokio::sync::OnceCell;

use super::context::{IssueContext, ServiceSettings};
use super::error::OutputError;
use super::files::Authorities;
use crate::agent::credential::cluster_name::ClusterName;
use crate::agent::credential::identity::{Identity, IdentityError, SignedCerts};
use crate::agent::credential::keys::KeyPair;
use crate::agent::credential::pem::pem_encode;
use crate::agent::credential::x509;
use crate::agent::net::connection_error::ConnectionError;
use crate::agent::platform::Hint;
use crate::agent::platform::error_text::{error_chain, error_line};
use crate::agent::platform::tasks::run_blocking;
use crate::agent::teleport::auth_client::{AuthClient, CaType, Impersonation, RouteTo};
use crate::agent::teleport::kubernetes_proxy::{KubeProxy, KubeProxyError};
use crate::agent::teleport::ssh_address::{SshAddress, SshAddressError};
use crate::config::Address;
use crate::untrusted::escape;

/// The first server version that requires RSA keys for database certificates, because some databases accept no other.
/// Older servers certify any key.
const FIRST_VERSION_WITH_RSA_DATABASES: u32 = 17;

/// Issues certificates for one service.
pub(super) struct Issuer<'a> {
    pub(super) settings: &'a ServiceSettings,
    /// The directory that the service writes to, if any.
    pub(super) directory: Option<&'a Path>,
    /// The connection of the bot itself.
    pub(super) bot_client: &'a AuthClient,
    pub(super) context: &'a IssueContext<'a>,
    bot_identity: &'a Identity,
    host_cas: OnceCell<Vec<String>>,
}

/// An identity with which the bot impersonates a service's roles.
pub(super) struct ImpersonatedIdentity {
    pub(super) identity: Identity,
    pub(super) roles: Vec<String>,
    pub(super) is_reissuable: bool,
}

impl<'a> Issuer<'a> {
    pub(super) fn new(
        settings: &'a ServiceSettings,
        directory: Option<&'a Path>,
        bot_client: &'a AuthClient,
        bot_identity: &'a Identity,
        context: &'a IssueContext<'a>,
    ) -> Self {
        Self { settings, directory, bot_client, context, bot_identity, host_cas: OnceCell::new() }
    }

    /// Returns the bot's user name, `bot-<name>`.
    pub(super) fn username(&self) -> &str {
        &self.bot_identity.user.username
    }

    /// Logs a warning about this service, which is not repeated at every renewal.
    pub(super) fn warn(&self, warning: impl Display) {
        self.context.warnings.warn(&self.settings.name, warning);
    }

    /// Returns the name of the root cluster.
    pub(super) fn cluster(&self) -> &ClusterName {
        self.bot_identity.cluster()
    }

    /// Issues certificates for the service's roles, with a new key. The server limits their lifetime, and refuses requests with them
    /// for other certificates.
    pub(super) async fn impersonate(&self) -> Result<ImpersonatedIdentity, OutputError> {
        self.impersonate_with(false).await
    }

    /// Like [`impersonate`](Self::impersonate), but other certificates can be requested with these.
    pub(super) async fn impersonate_reissuable(&self) -> Result<ImpersonatedIdentity, OutputError> {
        self.impersonate_with(true).await
    }

    async fn impersonate_with(&self, is_reissuable: bool) -> Result<ImpersonatedIdentity, OutputError> {
        let roles = match self.settings.roles.as_slice() {
            [] => self.bot_client.impersonable_roles(self.username()).await?,
            roles => roles.to_vec(),
        };
        if roles.is_empty() {
            return Err(OutputError::NoRoles(escape(self.username()).into()));
        }
        let identity = self.issue(&roles, is_reissuable, RouteTo::Cluster).await?;
        Ok(ImpersonatedIdentity { identity, roles, is_reissuable })
    }

    /// Issues certificates for the same roles and for `route`, with another new key.
    pub(super) async fn issue_for(
        &self,
        impersonated: &ImpersonatedIdentity,
        route: RouteTo,
    ) -> Result<Identity, OutputError> {
        self.issue(&impersonated.roles, impersonated.is_reissuable, route).await
    }

    /// Returns a client with the service's roles, to look up resources, because the bot itself cannot see any.
    pub(super) fn client_as(&self, impersonated: &ImpersonatedIdentity) -> Result<AuthClient, OutputError> {
        Ok(self.bot_client.with_identity(&impersonated.identity)?)
    }

    /// Returns the names of the leaf clusters that the service's roles may see, and not those that the bot may see.
    pub(super) async fn leaf_clusters(
        &self,
        impersonated: &ImpersonatedIdentity,
    ) -> Result<Vec<String>, OutputError> {
        let ImpersonatedIdentity { identity, roles, .. } = impersonated;
        Ok(self.bot_client.leaf_clusters_as(identity, roles).await?)
    }

    /// Returns the CAs that most outputs write.
    pub(super) async fn authorities(&self) -> Result<Authorities, OutputError> {
        Ok(Authorities {
            host: self.bot_client.authorities(CaType::Host).await?,
            user: self.bot_client.authorities(CaType::User).await?,
            database: self.bot_client.authorities(CaType::Database).await?,
        })
    }

    /// Returns where the proxy serves Kubernetes.
    pub(super) async fn kubernetes_proxy(&self) -> Result<KubeProxy, OutputError> {
        let (advertised, context) = (self.bot_client.info().proxy_public_addr.as_ref(), self.context);
        let discover = |_| KubeProxy::discover(context.dialler, advertised, context.proxy_address);
        let addresses = &context.proxy_addresses.kubernetes;
        let (proxy, error) = addresses.get(self.bot_identity, KubeProxyError::is_transient, discover).await?;
        if let Some(error) = error {
            self.warn_about_earlier_address(&error);
        }
        Ok(proxy)
    }

    /// Returns where the proxy with this web address serves SSH. An agent that uses no proxy may be unable to reach this one: if its
    /// request fails, returns the web address with a warning.
    pub(super) async fn ssh_address(&self, web: &Address) -> Result<SshAddress, OutputError> {
        let context = self.context;
        let discover = |earlier: Option<SshAddress>| async move {
            let (address, test_error) = SshAddress::discover(context.dialler, web).await?;
            let Some(error) = test_error else { return Ok(address) };
            let address = address.with_upgrade_of(earlier.as_ref());
            self.warn_about_upgrade_test(web, address.connection_upgrade, &error);
            Ok(address)
        };
        let addresses = &context.proxy_addresses.ssh;
        match addresses.get(self.bot_identity, SshAddressError::is_transient, discover).await {
            Ok((address, error)) => {
                if let Some(error) = error {
                    self.warn_about_earlier_address(&error);
                }
                Ok(address)
            }
            Err(error) if context.own_proxy_address.is_none() => {
                self.warn(format_args!(
                    "cannot ask the proxy where it serves SSH, so ssh_config contains its web address: {}",
                    error_chain(&error)
                ));
                Ok(SshAddress::at_web_address(web))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Warns that a test has failed, so that it is only known from an earlier one, or unknown, whether SSH connections to `web` need the
    /// connection upgrade.
    fn warn_about_upgrade_test(&self, web: &Address, earlier: Option<bool>, error: &ConnectionError) {
        let uses_other_address =
            self.context.own_proxy_address.is_some() && web != self.context.dialler.address();
        let hint = if uses_other_address {
            Some(Hint::new(
                "if this machine cannot reach that address, set TBOT_USE_PROXY_ADDR=yes to use the one in `proxy_server`",
            ))
        } else {
            error.hint()
        };
        let consequence = match earlier {
            Some(_) => "so the result of the last test is used",
            None => "so each of them tests it",
        };
        self.warn(format_args!(
            "cannot test whether SSH connections to {web} need the connection upgrade, {consequence}: {}",
            error_line(error, hint.as_ref())
        ));
    }

    fn warn_about_earlier_address(&self, error: &dyn std::error::Error) {
        self.warn(format_args!(
            "still using the address that the proxy advertised earlier: {}",
            error_chain(error)
        ));
    }

    async fn issue(
        &self,
        roles: &[String],
        is_reissuable: bool,
        route: RouteTo,
    ) -> Result<Identity, OutputError> {
        let needs_rsa = matches!(route, RouteTo::Database(_))
            && self.bot_client.info().server_major >= FIRST_VERSION_WITH_RSA_DATABASES;
        // Generating an RSA key takes too long for an async thread.
        let key = if needs_rsa { run_blocking(KeyPair::generate_rsa).await? } else { KeyPair::generate()? };
        let expires = self.context.clock.now() + self.settings.ttl;
        let impersonation =
            Impersonation { roles: roles.to_vec(), expires, reissuable: is_reissuable, route };
        let certs = self.bot_client.impersonate(&key, self.username(), self.cluster(), impersonation).await?;
        // The response contains only the user CA, which cannot verify the auth server. The SSH CAs are those of the
        // bot.
        let host_cas = self.host_cas.get_or_try_init(|| self.host_cas()).await?;
        let tls_cas = certs.tls_cas.into_iter().chain(host_cas.iter().cloned()).collect();
        let certs = SignedCerts { tls_cas, ssh_cas: self.bot_identity.certs.ssh_cas.clone(), ..certs };
        let identity = Identity::new(key, certs)?;
        if is_reissuable && identity.user.disallows_reissue {
            self.warn(
                "allow_reissue is set, but this cluster is too old for it: the credentials cannot be used to request others"
            );
        }
        Ok(identity)
    }

    /// Returns the TLS certificates of the cluster's host CA, one per entry.
    async fn host_cas(&self) -> Result<Vec<String>, OutputError> {
        let pem = self.bot_client.host_ca_pem().await?;
        let ders = x509::certificates(&pem).map_err(IdentityError::from)?;
        Ok(ders.iter().map(|der| pem_encode("CERTIFICATE", der)).collect())
    }
}
