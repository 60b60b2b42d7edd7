//! The `kubernetes` output: credentials that lead to one Kubernetes cluster, and a kubeconfig.

use super::error::OutputError;
use super::files::Set;
use super::issue::Issuer;
use super::kubeconfig::{Cluster, Kubeconfig, User, authority_data};
use super::lookup::{ResourceKind, pick};
use crate::agent::credential::identity::Identity;
use crate::agent::teleport::auth_client::RouteTo;
use crate::agent::teleport::kubernetes_proxy::KubeProxy;

#[derive(Clone, Debug)]
pub(crate) struct KubernetesOutput {
    pub(crate) cluster: String,
    /// `disable_exec_plugin`: the kubeconfig holds the credentials instead of running `tbot kube credentials`.
    pub(crate) disable_exec_plugin: bool,
}

impl KubernetesOutput {
    pub(super) async fn set(&self, issuer: &Issuer<'_>) -> Result<Set, OutputError> {
        let unrouted = issuer.impersonated(false).await?;
        let client = issuer.client_of(&unrouted).await?;
        let found =
            pick(ResourceKind::Kubernetes, &self.cluster, client.find_kubernetes(&self.cluster).await?)?;
        let identity = issuer.routed(&unrouted, false, RouteTo::Kubernetes(found.name.clone())).await?;
        let authorities = issuer.authorities().await?;
        let proxy = KubeProxy::discover(issuer.cx.web, issuer.cx.proxy_address).await?;
        let mut set = Set::of_identity(&identity, &authorities)?;
        let name = format!("{}-{}", proxy.cluster_name, found.name);
        let config = Kubeconfig {
            authority_data: authority_data(&authorities.host, issuer.cluster()),
            tls_server_name: proxy.tls_server_name,
            clusters: vec![Cluster { name: name.clone(), server: proxy.server, namespace: None }],
            user: name,
            credentials: user(issuer, &identity, self.disable_exec_plugin)?,
        };
        set.push("kubeconfig.yaml", config.render());
        Ok(set)
    }
}

/// A kubeconfig that runs our own command always has fresh credentials; it needs a folder to read them from.
pub(super) fn user(
    issuer: &Issuer<'_>,
    identity: &Identity,
    disable_exec_plugin: bool,
) -> Result<User, OutputError> {
    let Some(folder) = issuer.settings.destination.directory().filter(|_| !disable_exec_plugin) else {
        return Ok(User::Embedded {
            certificate: identity.certs.tls.clone(),
            key: identity.key.private_pem().to_owned(),
        });
    };
    let refused = || OutputError::Path(folder.to_owned());
    let absolute = std::path::absolute(folder).map_err(|_| refused())?;
    let command = issuer.cx.command;
    Ok(User::Exec {
        command: command.to_str().ok_or_else(|| OutputError::Path(command.to_owned()))?.to_owned(),
        folder: absolute.to_str().ok_or_else(refused)?.to_owned(),
    })
}
