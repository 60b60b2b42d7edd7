//! The `kubernetes/v2` output: one set of credentials, and a kubeconfig with one context per Kubernetes cluster that a
//! selector matches. The proxy routes a request to a cluster by its path.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::context_name::ContextName;
use super::error::OutputError;
use super::files::FileSet;
use super::issue::Issuer;
use super::kubeconfig::{Kubeconfig, KubeconfigCluster, authority_data};
use super::kubernetes::kubeconfig_user;
use super::lookup::{ResourceKind, pick};
use crate::agent::teleport::auth_client::AuthClient;
use crate::agent::teleport::kubernetes_proxy::KubeProxy;

/// The first version whose proxy routes by path. A proxy of version 15 ignores the path and routes by the certificate.
const FIRST_WITH_PATHS: u32 = 16;

#[derive(Clone, Debug)]
pub(crate) struct KubernetesV2Output {
    pub(crate) selectors: Vec<ClusterSelector>,
    pub(crate) disable_exec_plugin: bool,
    pub(crate) context_name: ContextName,
}

/// Selects Kubernetes clusters, and sets the namespace of their contexts.
#[derive(Clone, Debug)]
pub(crate) struct ClusterSelector {
    /// The name of one cluster, which must exist.
    pub(crate) name: Option<String>,
    /// The labels of any number of clusters.
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) namespace: Option<String>,
}

impl KubernetesV2Output {
    pub(super) async fn issue(&self, issuer: &Issuer<'_>) -> Result<FileSet, OutputError> {
        let server = issuer.bot.info().server_major;
        if server < FIRST_WITH_PATHS {
            return Err(OutputError::OneKubernetes(server));
        }
        let impersonated = issuer.impersonate(false).await?;
        let client = issuer.connect_as(&impersonated).await?;
        let found = self.find(&client).await?;
        if found.is_empty() {
            tracing::warn!(
                output = %issuer.settings.name,
                "no Kubernetes cluster matches a selector: the kubeconfig has no context"
            );
        }
        let host = issuer.bot.authorities("host").await?;
        let proxy = KubeProxy::discover(issuer.cx.web, issuer.cx.proxy_address).await?;
        let root = &proxy.cluster_name;
        let clusters = found.into_iter().map(|(name, namespace)| KubeconfigCluster {
            name: self.context_name.render(root, &name),
            server: format!("{}{}", proxy.server, path(root, &name)),
            namespace,
        });
        let mut files = FileSet::of_key(&impersonated.identity, &host)?;
        let config = Kubeconfig {
            authority_data: authority_data(&host, issuer.cluster()),
            clusters: clusters.collect(),
            user: root.clone(),
            credentials: kubeconfig_user(issuer, &impersonated.identity, self.disable_exec_plugin)?,
            tls_server_name: proxy.tls_server_name.clone(),
        };
        files.push("kubeconfig.yaml", config.render());
        Ok(files)
    }

    /// Returns each cluster once, with the namespace of the first selector that matches it.
    async fn find(&self, client: &AuthClient) -> Result<Vec<(String, Option<String>)>, OutputError> {
        let mut seen = BTreeSet::new();
        let mut all = Vec::new();
        for selector in &self.selectors {
            let names: BTreeSet<String> = match &selector.name {
                Some(name) => {
                    let found = client.find_kubernetes(name).await?;
                    [pick(ResourceKind::Kubernetes, name, found)?.name].into()
                }
                None => {
                    let found = client.find_labelled_kubernetes(&selector.labels).await?;
                    found.into_iter().map(|found| found.name).collect()
                }
            };
            for name in names {
                if seen.insert(name.clone()) {
                    all.push((name, selector.namespace.clone()));
                }
            }
        }
        Ok(all)
    }
}

/// Returns the path by which a proxy routes to one Kubernetes cluster.
fn path(root: &str, cluster: &str) -> String {
    format!("/v1/teleport/{}/{}", URL_SAFE_NO_PAD.encode(root), URL_SAFE_NO_PAD.encode(cluster))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_path_encodes_both_clusters() {
        assert_eq!(super::path("dev.test", "eks?"), "/v1/teleport/ZGV2LnRlc3Q/ZWtzPw");
    }
}
