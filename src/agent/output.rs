//! One output: issues its credentials as the bot, fetches what goes beside them, writes the set to its destination.
//!
//! `output/` holds the formats, which are pure: values in, text out.

mod identity_file;
mod known_hosts;
mod ssh_config;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::api::{ApiError, AuthClient, Authority};
use super::destination::Destination;
use super::durable::NewFile;
use super::folder::FolderError;
use super::identity::{Identity, IdentityError, SignedCerts};
use super::keys::{KeyError, KeyPair, pem_encode};
use super::options::Clock;
use super::route::Route;
use super::task::blocking;
use super::x509;
use ssh_config::SshConfig;

/// An output that could not be written. The files of the last time are still there.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The destination.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A call to the auth server.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The server's certificates are not usable.
    #[error("the certificates that the auth server issued are not usable: {0}")]
    Identity(#[from] IdentityError),
    /// No key could be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The bot may not act with any role.
    #[error(
        "the bot {0} has no role to give this output: add roles to the bot (tctl bots update --add-roles)"
    )]
    NoRoles(String),
    /// The folder's path cannot be made absolute, or is not text.
    #[error(
        "the path {0} cannot be written into ssh_config: use an absolute path in UTF-8 without newlines and quotation marks"
    )]
    Path(PathBuf),
}

/// An `identity` output, ready to be written any number of times.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    /// The service's name, for logs and errors.
    pub(crate) name: String,
    pub(crate) destination: Arc<Destination>,
    /// Roles to act with; empty means all that the bot may.
    pub(crate) roles: Vec<String>,
    pub(crate) ttl: Duration,
    pub(crate) interval: Duration,
    /// `ssh_config: on`, the default.
    pub(crate) with_ssh_config: bool,
}

/// What every output needs from the agent.
pub(crate) struct Surroundings<'a> {
    pub(crate) route: &'a Route,
    pub(crate) clock: &'a Clock,
    /// Absolute path of our own command.
    pub(crate) command: &'a Path,
    /// `host:port` to name in files instead of what the cluster advertises.
    pub(crate) proxy_address: Option<&'a str>,
    /// `host:port` to name in files where the cluster advertises nothing.
    pub(crate) fallback_proxy_address: String,
}

/// The cluster's authorities, by what they sign.
struct Authorities {
    host: Vec<Authority>,
    user: Vec<Authority>,
    database: Vec<Authority>,
}

impl Output {
    /// Issues and writes everything; answers when the credentials end.
    pub(crate) async fn write(
        &self,
        bot: &AuthClient,
        bot_identity: &Identity,
        around: &Surroundings<'_>,
    ) -> Result<SystemTime, OutputError> {
        let destination = Arc::clone(&self.destination);
        blocking(move || destination.prepare()).await?;

        let identity = self.issue(bot, bot_identity, around.clock).await?;
        let authorities = Authorities {
            host: bot.authorities("host").await?,
            user: bot.authorities("user").await?,
            database: bot.authorities("db").await?,
        };
        let mut files = common_files(&identity, &authorities)?;
        if self.with_ssh_config {
            // Which leaves to name is a matter of what these credentials may see, not the bot.
            let leaves = AuthClient::connect(around.route, &identity).await?.remote_clusters().await?;
            files.extend(self.ssh_files(&identity, &authorities, &leaves, bot, around)?);
        }
        let not_after = identity.user.not_after;
        let destination = Arc::clone(&self.destination);
        blocking(move || destination.write(files)).await?;
        Ok(not_after)
    }

    /// A new key with certificates for this output's roles. The server caps their lifetime.
    async fn issue(
        &self,
        bot: &AuthClient,
        owner: &Identity,
        clock: &Clock,
    ) -> Result<Identity, OutputError> {
        let username = &owner.user.username;
        let roles = match self.roles.as_slice() {
            [] => bot.impersonable_roles(username).await?,
            roles => roles.to_vec(),
        };
        if roles.is_empty() {
            return Err(OutputError::NoRoles(username.clone()));
        }
        let key = KeyPair::generate()?;
        let expires = clock.now() + self.ttl;
        let certs = bot.impersonate(&key, username, owner.cluster(), roles, expires).await?;
        // This reply holds the user CA only, which cannot verify auth; and the SSH authorities are the bot's own.
        let host_cas = x509::certificates(&bot.host_ca_pem().await?).map_err(IdentityError::from)?;
        let host_cas = host_cas.iter().map(|der| pem_encode("CERTIFICATE", der));
        let tls_cas = certs.tls_cas.into_iter().chain(host_cas).collect();
        let certs = SignedCerts { tls_cas, ssh_cas: owner.certs.ssh_cas.clone(), ..certs };
        Ok(Identity::new(key, certs)?)
    }

    fn ssh_files(
        &self,
        identity: &Identity,
        authorities: &Authorities,
        leaves: &[String],
        bot: &AuthClient,
        around: &Surroundings<'_>,
    ) -> Result<Vec<NewFile>, OutputError> {
        let advertised = Some(bot.facts().proxy_public_addr.as_str()).filter(|address| !address.is_empty());
        let proxy = around.proxy_address.or(advertised).unwrap_or(&around.fallback_proxy_address);
        let mut clusters = vec![identity.cluster().to_owned()];
        clusters.extend(leaves.iter().filter(|leaf| *leaf != identity.cluster()).cloned());
        let known_hosts = known_hosts::known_hosts(&authorities.host, &clusters, proxy);
        let mut files = vec![("known_hosts".to_owned(), known_hosts.into_bytes())];
        if let Some(folder) = self.destination.directory() {
            let refused = || OutputError::Path(folder.to_owned());
            let absolute = std::path::absolute(folder).map_err(|_| refused())?;
            let config = SshConfig {
                folder: &absolute,
                command: around.command,
                proxy,
                clusters: &clusters,
                name_rsa_algorithms: bot.facts().server_major <= 16 && all_rsa(&authorities.host),
            };
            files.push(("ssh_config".to_owned(), config.render().ok_or_else(refused)?.into_bytes()));
        }
        Ok(files)
    }
}

/// Naming RSA algorithms keeps everything else out, so it is right only where nothing else can come.
fn all_rsa(authorities: &[Authority]) -> bool {
    authorities.iter().flat_map(|authority| &authority.ssh).all(|key| key.starts_with("ssh-rsa "))
}

/// What every output that holds an identity has.
fn common_files(identity: &Identity, authorities: &Authorities) -> Result<Vec<NewFile>, OutputError> {
    let pems =
        |all: &[Authority]| all.iter().flat_map(|authority| &authority.tls).cloned().collect::<String>();
    let files = [
        ("key", identity.key.private_pem().to_owned()),
        ("key.pub", identity.key.ssh_line()?),
        ("tlscert", identity.certs.tls.clone()),
        ("key-cert.pub", identity.certs.ssh.clone()),
        ("teleport-host-ca.crt", pems(&authorities.host)),
        ("teleport-user-ca.crt", pems(&authorities.user)),
        ("teleport-database-ca.crt", pems(&authorities.database)),
        ("identity", identity_file::identity_file(identity, &authorities.host)),
    ];
    Ok(files.into_iter().map(|(name, content)| (name.to_owned(), content.into_bytes())).collect())
}
