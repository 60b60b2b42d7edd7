//! The `identity` output: credentials for the cluster or a leaf cluster, with the files that OpenSSH needs.

use tonic::Code;

use super::error::OutputError;
use super::files::{Authorities, FileSet};
use super::issue::Issuer;
use super::known_hosts;
use super::ssh_config::SshConfig;
use crate::agent::credential::authority::Authority;
use crate::agent::teleport::api_error::ApiError;
use crate::agent::teleport::auth_client::{AuthClient, RouteTo};

#[derive(Clone, Debug)]
pub(crate) struct IdentityOutput {
    /// The leaf cluster that the credentials are for; `None` for the root cluster.
    pub(crate) leaf: Option<String>,
    pub(crate) allow_reissue: bool,
    /// `ssh_config: on`, the default.
    pub(crate) with_ssh_config: bool,
}

impl IdentityOutput {
    pub(super) async fn issue(&self, issuer: &Issuer<'_>) -> Result<FileSet, OutputError> {
        let unrouted = issuer.impersonate(self.allow_reissue).await?;
        let client = if self.with_ssh_config || self.leaf.is_some() {
            Some(issuer.connect_as(&unrouted).await?)
        } else {
            None
        };
        let routed;
        let identity = match (&self.leaf, &client) {
            (Some(leaf), Some(client)) => {
                let route = RouteTo::Leaf(leaf.clone());
                let issued = issuer.issue_for(&unrouted, self.allow_reissue, route).await;
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
        let mut files = FileSet::of_identity(identity, &authorities)?;
        if let Some(client) = client.filter(|_| self.with_ssh_config) {
            // Name the leaf clusters that these credentials may see, not those that the bot may see.
            let leaves = client.remote_clusters().await?;
            ssh_files(issuer, &authorities, &leaves, &mut files)?;
        }
        Ok(files)
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
    files: &mut FileSet,
) -> Result<(), OutputError> {
    let (cluster, cx) = (issuer.bot.info(), issuer.cx);
    let advertised = Some(cluster.proxy_public_addr.as_str()).filter(|address| !address.is_empty());
    let proxy = cx.proxy_address.or(advertised).unwrap_or(&cx.fallback_proxy_address);
    let mut clusters = vec![issuer.cluster().to_owned()];
    clusters.extend(leaves.iter().filter(|leaf| *leaf != issuer.cluster()).cloned());
    files.push("known_hosts", known_hosts::known_hosts(&authorities.host, &clusters, proxy));
    if let Some(directory) = issuer.settings.destination.directory() {
        let refused = || OutputError::Path(directory.to_owned());
        let absolute = std::path::absolute(directory).map_err(|_| refused())?;
        let config = SshConfig {
            directory: &absolute,
            command: cx.command,
            proxy,
            clusters: &clusters,
            name_rsa_algorithms: cluster.server_major <= 16 && all_rsa(&authorities.host),
        };
        files.push("ssh_config", config.render().ok_or_else(refused)?);
    }
    Ok(())
}

/// Naming RSA algorithms excludes all others, so all keys must be RSA.
fn all_rsa(authorities: &[Authority]) -> bool {
    authorities.iter().flat_map(|authority| &authority.ssh).all(|key| key.starts_with("ssh-rsa "))
}
