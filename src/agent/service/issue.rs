//! Issues the certificates of one output, once: first as what the bot may be, to look things up, then for what was found.
//! Depends on the auth API; writes nothing.

use tokio::sync::OnceCell;

use super::context::{IssueContext, OutputSettings};
use super::error::OutputError;
use super::files::Authorities;
use crate::agent::credential::identity::{Identity, IdentityError, SignedCerts};
use crate::agent::credential::keys::KeyPair;
use crate::agent::credential::pem::pem_encode;
use crate::agent::credential::x509;
use crate::agent::platform::tasks::run_blocking;
use crate::agent::teleport::auth_client::{AuthClient, Impersonation, RouteTo};

/// From this version on, certificates that lead to a database are for RSA keys whatever the cluster's algorithms: some
/// databases take no other. Older clusters take what they are given.
const FIRST_WITH_SUITES: u32 = 17;

pub(super) struct Issuer<'a> {
    pub(super) settings: &'a OutputSettings,
    pub(super) bot: &'a AuthClient,
    pub(super) cx: &'a IssueContext<'a>,
    owner: &'a Identity,
    host_cas: OnceCell<Vec<String>>,
}

/// The bot acting with an output's roles.
pub(super) struct Impersonated {
    pub(super) identity: Identity,
    roles: Vec<String>,
}

impl<'a> Issuer<'a> {
    pub(super) fn new(
        settings: &'a OutputSettings,
        bot: &'a AuthClient,
        owner: &'a Identity,
        cx: &'a IssueContext<'a>,
    ) -> Self {
        Self { settings, bot, cx, owner, host_cas: OnceCell::new() }
    }

    /// The bot's user, `bot-<name>`.
    pub(super) fn username(&self) -> &str {
        &self.owner.user.username
    }

    /// The root cluster.
    pub(super) fn cluster(&self) -> &str {
        self.owner.cluster()
    }

    /// A new key with certificates for the output's roles. The server caps their lifetime.
    pub(super) async fn impersonated(&self, reissuable: bool) -> Result<Impersonated, OutputError> {
        let roles = match self.settings.roles.as_slice() {
            [] => self.bot.impersonable_roles(self.username()).await?,
            roles => roles.to_vec(),
        };
        if roles.is_empty() {
            return Err(OutputError::NoRoles(self.username().to_owned()));
        }
        let identity = self.issue(&roles, reissuable, RouteTo::Cluster).await?;
        Ok(Impersonated { identity, roles })
    }

    /// A further new key, with certificates for the same roles that lead to `route`.
    pub(super) async fn routed(
        &self,
        as_whom: &Impersonated,
        reissuable: bool,
        route: RouteTo,
    ) -> Result<Identity, OutputError> {
        self.issue(&as_whom.roles, reissuable, route).await
    }

    /// A connection that sees what the output's roles may see. The bot itself sees nothing.
    pub(super) async fn client_of(&self, as_whom: &Impersonated) -> Result<AuthClient, OutputError> {
        Ok(AuthClient::connect(self.cx.route, &as_whom.identity).await?)
    }

    pub(super) async fn authorities(&self) -> Result<Authorities, OutputError> {
        Ok(Authorities {
            host: self.bot.authorities("host").await?,
            user: self.bot.authorities("user").await?,
            database: self.bot.authorities("db").await?,
        })
    }

    async fn issue(
        &self,
        roles: &[String],
        reissuable: bool,
        route: RouteTo,
    ) -> Result<Identity, OutputError> {
        let rsa = matches!(route, RouteTo::Database(_)) && self.bot.info().server_major >= FIRST_WITH_SUITES;
        // An RSA key takes long enough to hold up everything else on this thread.
        let key = if rsa { run_blocking(KeyPair::generate_rsa).await? } else { KeyPair::generate()? };
        let expires = self.cx.clock.now() + self.settings.ttl;
        let as_whom = Impersonation { roles: roles.to_vec(), expires, reissuable, route };
        let certs = self.bot.impersonate(&key, self.username(), self.cluster(), as_whom).await?;
        // This reply holds the user CA only, which cannot verify auth; and the SSH authorities are the bot's own.
        let host_cas = self.host_cas.get_or_try_init(|| self.host_cas()).await?;
        let tls_cas = certs.tls_cas.into_iter().chain(host_cas.iter().cloned()).collect();
        let certs = SignedCerts { tls_cas, ssh_cas: self.owner.certs.ssh_cas.clone(), ..certs };
        let identity = Identity::new(key, certs)?;
        if reissuable && identity.user.disallows_reissue {
            tracing::warn!(
                output = %self.settings.name,
                "allow_reissue is set, but this cluster issued credentials that cannot be used to get others: it is too old"
            );
        }
        Ok(identity)
    }

    async fn host_cas(&self) -> Result<Vec<String>, OutputError> {
        let pem = self.bot.host_ca_pem().await?;
        let all = x509::certificates(&pem).map_err(IdentityError::from)?;
        Ok(all.iter().map(|der| pem_encode("CERTIFICATE", der)).collect())
    }
}
