//! The `identity` output: credentials for the cluster or a leaf, with the files that OpenSSH wants.

use tonic::Code;

use super::error::OutputError;
use super::files::{Authorities, Set};
use super::issue::Issuer;
use super::known_hosts;
use super::ssh_config::SshConfig;
use crate::agent::credential::authority::Authority;
use crate::agent::teleport::api_error::ApiError;
use crate::agent::teleport::auth_client::{AuthClient, RouteTo};

#[derive(Clone, Debug)]
pub(crate) struct IdentityOutput {
    /// The leaf cluster that the credentials are for; none for the root.
    pub(crate) leaf: Option<String>,
    pub(crate) allow_reissue: bool,
    /// `ssh_config: on`, the default.
    pub(crate) with_ssh_config: bool,
}

impl IdentityOutput {
    pub(super) async fn set(&self, issuer: &Issuer<'_>) -> Result<Set, OutputError> {
        let unrouted = issuer.impersonated(self.allow_reissue).await?;
        let client = if self.with_ssh_config || self.leaf.is_some() {
            Some(issuer.client_of(&unrouted).await?)
        } else {
            None
        };
        let routed;
        let identity = match (&self.leaf, &client) {
            (Some(leaf), Some(client)) => {
                let route = RouteTo::Leaf(leaf.clone());
                let issued = issuer.routed(&unrouted, self.allow_reissue, route).await;
                routed = match issued {
                    Err(OutputError::Api(ApiError::Refused { code: Code::NotFound, .. })) => {
                        return Err(unknown_leaf(leaf, client).await);
                    }
                    issued => issued?,
                };
                &routed
            }
            _ => &unrouted.identity,
        };
        let authorities = issuer.authorities().await?;
        let mut set = Set::of_identity(identity, &authorities)?;
        if let Some(client) = client.filter(|_| self.with_ssh_config) {
            // Which leaves to name is a matter of what these credentials may see, not the bot.
            let leaves = client.remote_clusters().await?;
            ssh_files(issuer, &authorities, &leaves, &mut set)?;
        }
        Ok(set)
    }
}

async fn unknown_leaf(name: &str, client: &AuthClient) -> OutputError {
    match client.remote_clusters().await {
        Ok(mut known) => {
            known.sort();
            OutputError::Leaf { name: name.to_owned(), known }
        }
        Err(error) => error.into(),
    }
}

fn ssh_files(
    issuer: &Issuer<'_>,
    authorities: &Authorities,
    leaves: &[String],
    set: &mut Set,
) -> Result<(), OutputError> {
    let (bot, cx) = (issuer.bot.info(), issuer.cx);
    let advertised = Some(bot.proxy_public_addr.as_str()).filter(|address| !address.is_empty());
    let proxy = cx.proxy_address.or(advertised).unwrap_or(&cx.fallback_proxy_address);
    let mut clusters = vec![issuer.cluster().to_owned()];
    clusters.extend(leaves.iter().filter(|leaf| *leaf != issuer.cluster()).cloned());
    set.push("known_hosts", known_hosts::known_hosts(&authorities.host, &clusters, proxy));
    if let Some(folder) = issuer.settings.destination.directory() {
        let refused = || OutputError::Path(folder.to_owned());
        let absolute = std::path::absolute(folder).map_err(|_| refused())?;
        let config = SshConfig {
            folder: &absolute,
            command: cx.command,
            proxy,
            clusters: &clusters,
            name_rsa_algorithms: bot.server_major <= 16 && all_rsa(&authorities.host),
        };
        set.push("ssh_config", config.render().ok_or_else(refused)?);
    }
    Ok(())
}

/// Naming RSA algorithms keeps everything else out, so it is right only where nothing else can come.
fn all_rsa(authorities: &[Authority]) -> bool {
    authorities.iter().flat_map(|authority| &authority.ssh).all(|key| key.starts_with("ssh-rsa "))
}
