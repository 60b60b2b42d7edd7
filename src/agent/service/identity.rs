//! The `identity` output: credentials for the cluster or a leaf cluster, with the files that OpenSSH needs.

use super::error::OutputError;
use super::files::{Authorities, FileSet};
use super::issue::Issuer;
use super::known_hosts::known_hosts;
use super::ssh_config::SshConfig;
use crate::agent::credential::authority::CertAuthority;
use crate::agent::credential::cluster_name::ClusterName;
use crate::agent::teleport::api_error::ApiError;
use crate::agent::teleport::auth_client::RouteTo;
use crate::agent::teleport::grpc_code::GrpcCode;
use crate::config::{IdentityService, OptionalString as _, SshConfigMode, is_on};

#[derive(Clone, Debug)]
pub(crate) struct IdentityOutput {
    /// The leaf cluster that the credentials are for; `None` for the root cluster.
    leaf: Option<String>,
    allow_reissue: bool,
    /// `None` if the configuration does not set it.
    ssh_config: Option<SshConfigMode>,
}

impl IdentityOutput {
    pub(crate) fn new(service: &IdentityService) -> Self {
        let IdentityService {
            destination: _,
            cluster,
            ssh_config,
            allow_reissue,
            delegation_session_id: _,
            name: _,
            credential_ttl: _,
            certificate_ttl: _,
            renewal_interval: _,
            roles: _,
        } = service;
        Self {
            leaf: cluster.nonempty().map(str::to_owned),
            allow_reissue: is_on(*allow_reissue),
            ssh_config: *ssh_config,
        }
    }

    /// Whether the output has the files that OpenSSH needs, which is the default.
    pub(super) fn writes_ssh_config(&self) -> bool {
        self.ssh_config != Some(SshConfigMode::Off)
    }

    pub(super) async fn issue(&self, issuer: &Issuer<'_>) -> Result<FileSet, OutputError> {
        let impersonated = if self.allow_reissue {
            issuer.impersonate_reissuable().await?
        } else {
            issuer.impersonate().await?
        };
        let routed;
        let identity = match &self.leaf {
            Some(leaf) => {
                let route = RouteTo::Leaf(leaf.clone());
                routed = match issuer.issue_for(&impersonated, route).await {
                    Err(OutputError::Api(ApiError::Refused { code: GrpcCode::NotFound, .. })) => {
                        return Err(leaf_not_found(leaf, issuer.leaf_clusters(&impersonated).await));
                    }
                    result => result?,
                };
                &routed
            }
            None => &impersonated.identity,
        };
        let authorities = issuer.authorities().await?;
        let mut files = FileSet::with_all_cas(identity, &authorities)?;
        if self.writes_ssh_config() {
            let names = issuer.leaf_clusters(&impersonated).await?;
            let leaf_clusters: Vec<ClusterName> = names
                .iter()
                .filter_map(|name| {
                    let warn = |error: &_| issuer.warn(format_args!("ignoring a leaf cluster: {error}"));
                    name.parse().inspect_err(warn).ok()
                })
                .collect();
            push_ssh_files(issuer, &authorities, &leaf_clusters, &mut files).await?;
        }
        Ok(files)
    }
}

fn leaf_not_found(name: &str, visible: Result<Vec<String>, OutputError>) -> OutputError {
    match visible {
        Ok(mut visible) => {
            visible.sort();
            OutputError::LeafNotFound { name: name.to_owned(), visible: visible.iter().collect() }
        }
        Err(error) => error,
    }
}

/// Adds `known_hosts` and, if the destination is a directory, `ssh_config` and the files of each cluster.
async fn push_ssh_files(
    issuer: &Issuer<'_>,
    authorities: &Authorities,
    leaf_clusters: &[ClusterName],
    files: &mut FileSet,
) -> Result<(), OutputError> {
    let (cluster, context) = (issuer.bot_client.info(), issuer.context);
    // The auth server names one of the cluster's proxies, which may not be one that this machine can reach.
    let web_address = context
        .proxy_address
        .or(context.own_proxy_address.as_ref())
        .or(cluster.proxy_public_addr.as_ref())
        .ok_or(OutputError::NoProxyAddress)?;
    let mut clusters = vec![issuer.cluster().clone()];
    clusters.extend(leaf_clusters.iter().filter(|leaf| *leaf != issuer.cluster()).cloned());
    let Some(directory) = issuer.directory else {
        files.push("known_hosts", known_hosts(&authorities.host, &clusters, web_address));
        return Ok(());
    };
    let proxy = issuer.ssh_address(web_address).await?;
    files.push("known_hosts", known_hosts(&authorities.host, &clusters, &proxy.address));
    let unusable = || OutputError::Path(directory.to_owned());
    let absolute = std::path::absolute(directory).map_err(|_| unusable())?;
    let name_rsa_algorithms = cluster.server_major <= 16 && all_rsa(&authorities.host);
    let config = SshConfig::new(&absolute, context.command, &proxy, name_rsa_algorithms);
    let config = config.ok_or_else(unusable)?;
    files.push("ssh_config", config.render(&clusters));
    for cluster in &clusters {
        let known_hosts = known_hosts(&authorities.host, std::slice::from_ref(cluster), &proxy.address);
        files.push(&format!("{cluster}.known_hosts"), known_hosts);
        files.push(&format!("{cluster}.ssh_config"), config.render_for_include(cluster));
    }
    Ok(())
}

/// Returns true if all keys are RSA keys. Only then may `ssh_config` name the RSA algorithms, because this excludes all
/// others.
fn all_rsa(authorities: &[CertAuthority]) -> bool {
    authorities.iter().flat_map(|ca| &ca.ssh).all(|key| key.starts_with("ssh-rsa "))
}
