//! The `kubernetes` output: credentials for one Kubernetes cluster, and a kubeconfig.

use super::error::OutputError;
use super::files::FileSet;
use super::issue::Issuer;
use super::kubeconfig::{Kubeconfig, KubeconfigCluster, KubeconfigUser, authority_data};
use super::lookup::{ResourceKind, pick};
use crate::agent::credential::identity::Identity;
use crate::agent::teleport::auth_client::RouteTo;
use crate::config::{KubernetesService, is_on};

#[derive(Clone, Debug)]
pub(crate) struct KubernetesOutput {
    cluster: String,
    /// Whether the kubeconfig contains the credentials instead of running `tbot kube credentials`.
    disable_exec_plugin: bool,
}

impl KubernetesOutput {
    pub(crate) fn new(service: &KubernetesService) -> Self {
        let KubernetesService {
            destination: _,
            kubernetes_cluster,
            disable_exec_plugin,
            delegation_session_id: _,
            name: _,
            credential_ttl: _,
            certificate_ttl: _,
            renewal_interval: _,
            roles: _,
        } = service;
        Self {
            cluster: kubernetes_cluster.as_str().to_owned(),
            disable_exec_plugin: is_on(*disable_exec_plugin),
        }
    }

    pub(super) async fn issue(&self, issuer: &Issuer<'_>) -> Result<FileSet, OutputError> {
        let impersonated = issuer.impersonate().await?;
        let client = issuer.client_as(&impersonated)?;
        let cluster =
            pick(ResourceKind::Kubernetes, &self.cluster, client.find_kubernetes(&self.cluster).await?)?;
        let identity = issuer.issue_for(&impersonated, RouteTo::Kubernetes(cluster.name.clone())).await?;
        let authorities = issuer.authorities().await?;
        let proxy = issuer.kubernetes_proxy().await?;
        let mut files = FileSet::with_all_cas(&identity, &authorities)?;
        let name = format!("{}-{}", proxy.cluster_name, cluster.name);
        let config = Kubeconfig {
            authority_data: authority_data(&authorities.host, issuer.cluster())?,
            tls_server_name: proxy.tls_server_name,
            clusters: vec![KubeconfigCluster { name: name.clone(), server: proxy.server, namespace: None }],
            user: name,
            credentials: kubeconfig_user(issuer, &identity, self.disable_exec_plugin)?,
        };
        files.push("kubeconfig.yaml", config.render());
        Ok(files)
    }
}

/// Returns how the user of a kubeconfig authenticates: by running tbot, so that the credentials are always fresh, or
/// with embedded credentials if the plugin is disabled or there is no directory to read them from.
pub(super) fn kubeconfig_user(
    issuer: &Issuer<'_>,
    identity: &Identity,
    disable_exec_plugin: bool,
) -> Result<KubeconfigUser, OutputError> {
    let Some(directory) = issuer.directory.filter(|_| !disable_exec_plugin) else {
        return Ok(KubeconfigUser::Embedded {
            certificate: identity.certs.tls.clone(),
            key: identity.key.private_pem().to_owned(),
        });
    };
    let unusable = || OutputError::Path(directory.to_owned());
    let absolute = std::path::absolute(directory).map_err(|_| unusable())?;
    let command = issuer.context.command;
    Ok(KubeconfigUser::Exec {
        command: command.to_str().ok_or_else(|| OutputError::Path(command.to_owned()))?.to_owned(),
        directory: absolute.to_str().ok_or_else(unusable)?.to_owned(),
    })
}
