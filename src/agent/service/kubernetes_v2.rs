//! The `kubernetes/v2` output: one set of credentials, and a kubeconfig with one context per Kubernetes cluster that a
//! selector matches. The proxy routes a request to a cluster by its path.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::error::OutputError;
use super::files::FileSet;
use super::issue::Issuer;
use super::kubeconfig::{Kubeconfig, KubeconfigCluster, authority_data};
use super::kubernetes::kubeconfig_user;
use super::lookup::{ResourceKind, pick};
use crate::agent::teleport::auth_client::{AuthClient, CaType};
use crate::config::{ContextName, KubernetesSelector, KubernetesV2Service, OptionalString as _, is_on};

#[derive(Clone, Debug)]
pub(crate) struct KubernetesV2Output {
    selectors: Vec<ClusterSelector>,
    disable_exec_plugin: bool,
    context_name: ContextName,
}

/// Selects Kubernetes clusters, and sets the namespace of their contexts.
#[derive(Clone, Debug)]
struct ClusterSelector {
    /// The name of one cluster, which must exist.
    name: Option<String>,
    /// The labels of any number of clusters.
    labels: BTreeMap<String, String>,
    namespace: Option<String>,
}

impl ClusterSelector {
    fn new(selector: &KubernetesSelector) -> Self {
        let labels = selector.labels.iter().flatten();
        Self {
            name: selector.name.nonempty().map(str::to_owned),
            labels: labels.map(|(key, value)| (key.clone(), value.as_str().to_owned())).collect(),
            namespace: selector.default_namespace.nonempty().map(str::to_owned),
        }
    }
}

impl KubernetesV2Output {
    /// Returns `None` if the template of the context name has a form that this version does not support.
    pub(crate) fn new(service: &KubernetesV2Service) -> Option<Self> {
        let KubernetesV2Service {
            destination: _,
            selectors,
            disable_exec_plugin,
            context_name_template: _,
            relay_server: _,
            name: _,
            credential_ttl: _,
            certificate_ttl: _,
            renewal_interval: _,
        } = service;
        Some(Self {
            selectors: selectors.iter().map(ClusterSelector::new).collect(),
            disable_exec_plugin: is_on(*disable_exec_plugin),
            context_name: ContextName::of_service(service)?,
        })
    }

    pub(super) async fn issue(&self, issuer: &Issuer<'_>) -> Result<FileSet, OutputError> {
        let proxy = issuer.kubernetes_proxy().await?;
        if !proxy.routes_by_path() {
            return Err(OutputError::NoPathRouting(proxy.version));
        }
        let impersonated = issuer.impersonate().await?;
        let client = issuer.client_as(&impersonated)?;
        let selected = self.select(&client).await?;
        if selected.is_empty() {
            issuer.warn("no Kubernetes cluster matches the selectors: the kubeconfig contains no context");
        }
        let host_cas = issuer.bot_client.authorities(CaType::Host).await?;
        let root = &proxy.cluster_name;
        let clusters = selected.into_iter().map(|(name, namespace)| KubeconfigCluster {
            name: self.context_name.render(root, &name),
            server: format!("{}{}", proxy.server, cluster_path(root, &name)),
            namespace,
        });
        let mut files = FileSet::with_host_cas(&impersonated.identity, &host_cas)?;
        let config = Kubeconfig {
            authority_data: authority_data(&host_cas, issuer.cluster())?,
            clusters: clusters.collect(),
            user: root.to_string(),
            credentials: kubeconfig_user(issuer, &impersonated.identity, self.disable_exec_plugin)?,
            tls_server_name: proxy.tls_server_name.clone(),
        };
        files.push("kubeconfig.yaml", config.render());
        Ok(files)
    }

    /// Returns the name of each selected cluster once, with the namespace of the first selector that matches it.
    async fn select(&self, client: &AuthClient) -> Result<Vec<(String, Option<String>)>, OutputError> {
        let mut seen = BTreeSet::new();
        let mut selected = Vec::new();
        for selector in &self.selectors {
            let names: BTreeSet<String> = match &selector.name {
                Some(name) => {
                    let found = client.find_kubernetes(name).await?;
                    [pick(ResourceKind::Kubernetes, name, found)?.name].into()
                }
                None => {
                    let found = client.find_labelled_kubernetes(&selector.labels).await?;
                    found.into_iter().map(|cluster| cluster.name).collect()
                }
            };
            for name in names {
                if seen.insert(name.clone()) {
                    selected.push((name, selector.namespace.clone()));
                }
            }
        }
        Ok(selected)
    }
}

/// Returns the path by which a proxy routes to one Kubernetes cluster.
fn cluster_path(root: &str, cluster: &str) -> String {
    format!("/v1/teleport/{}/{}", URL_SAFE_NO_PAD.encode(root), URL_SAFE_NO_PAD.encode(cluster))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_path_encodes_both_clusters() {
        assert_eq!(super::cluster_path("dev.test", "eks?"), "/v1/teleport/ZGV2LnRlc3Q/ZWtzPw");
    }
}
