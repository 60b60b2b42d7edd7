//! Issues the certificates of one output, once: first as what the bot may be, to look things up, then for what was found.
//! Depends on the auth API; writes nothing.

use tokio::sync::OnceCell;

use super::files::Authorities;
use super::{Output, OutputError, Surroundings};
use crate::agent::api::{AuthClient, Impersonation, RouteTo};
use crate::agent::identity::{Identity, IdentityError, SignedCerts};
use crate::agent::keys::{KeyPair, pem_encode};
use crate::agent::task::blocking;
use crate::agent::x509;

/// From this version on, certificates that lead to a database are for RSA keys whatever the cluster's algorithms: some
/// databases take no other. Older clusters take what they are given.
const FIRST_WITH_SUITES: u32 = 17;

pub(super) struct Issuer<'a> {
    pub(super) output: &'a Output,
    pub(super) bot: &'a AuthClient,
    pub(super) around: &'a Surroundings<'a>,
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
        output: &'a Output,
        bot: &'a AuthClient,
        owner: &'a Identity,
        around: &'a Surroundings<'a>,
    ) -> Self {
        Self { output, bot, around, owner, host_cas: OnceCell::new() }
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
        let roles = match self.output.roles.as_slice() {
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
        Ok(AuthClient::connect(self.around.route, &as_whom.identity).await?)
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
        let rsa = matches!(route, RouteTo::Database(_)) && self.bot.facts().server_major >= FIRST_WITH_SUITES;
        // An RSA key takes long enough to hold up everything else on this thread.
        let key = if rsa { blocking(KeyPair::generate_rsa).await? } else { KeyPair::generate()? };
        let expires = self.around.clock.now() + self.output.ttl;
        let as_whom = Impersonation { roles: roles.to_vec(), expires, reissuable, route };
        let certs = self.bot.impersonate(&key, self.username(), self.cluster(), as_whom).await?;
        // This reply holds the user CA only, which cannot verify auth; and the SSH authorities are the bot's own.
        let host_cas = self.host_cas.get_or_try_init(|| self.host_cas()).await?;
        let tls_cas = certs.tls_cas.into_iter().chain(host_cas.iter().cloned()).collect();
        let certs = SignedCerts { tls_cas, ssh_cas: self.owner.certs.ssh_cas.clone(), ..certs };
        let identity = Identity::new(key, certs)?;
        if reissuable && identity.user.disallows_reissue {
            tracing::warn!(
                output = %self.output.name,
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
