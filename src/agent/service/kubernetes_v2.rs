//! The `kubernetes/v2` output: one set of credentials, and a kubeconfig with a context for each Kubernetes cluster that a
//! selector finds. The proxy tells the clusters apart by the path of a request.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::error::OutputError;
use super::files::Set;
use super::issue::Issuer;
use super::kubeconfig::{Cluster, ContextName, Kubeconfig, authority_data};
use super::kubernetes::user;
use super::lookup::{ResourceKind, pick};
use crate::agent::teleport::auth_client::AuthClient;
use crate::agent::teleport::kubernetes_proxy::KubeProxy;

/// A proxy of version 15 was seen to ignore the path and to go by the certificate, which names some cluster.
const FIRST_WITH_PATHS: u32 = 16;

#[derive(Clone, Debug)]
pub(crate) struct KubernetesV2Output {
    pub(crate) selectors: Vec<Selector>,
    pub(crate) disable_exec_plugin: bool,
    pub(crate) context_name: ContextName,
}

/// Which Kubernetes clusters, and the namespace of their contexts.
#[derive(Clone, Debug)]
pub(crate) struct Selector {
    /// Exactly this one, which must be there.
    pub(crate) name: Option<String>,
    /// All with these labels, of which there may be none.
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) namespace: Option<String>,
}

impl KubernetesV2Output {
    pub(super) async fn set(&self, issuer: &Issuer<'_>) -> Result<Set, OutputError> {
        let server = issuer.bot.info().server_major;
        if server < FIRST_WITH_PATHS {
            return Err(OutputError::OneKubernetes(server));
        }
        let impersonated = issuer.impersonated(false).await?;
        let client = issuer.client_of(&impersonated).await?;
        let found = self.find(&client).await?;
        if found.is_empty() {
            tracing::warn!(
                output = %issuer.settings.name,
                "no Kubernetes cluster has the labels of a selector, so the kubeconfig has no context"
            );
        }
        let host = issuer.bot.authorities("host").await?;
        let proxy = KubeProxy::discover(issuer.cx.web, issuer.cx.proxy_address).await?;
        let root = &proxy.cluster_name;
        let clusters = found.into_iter().map(|(name, namespace)| Cluster {
            name: self.context_name.of(root, &name),
            server: format!("{}{}", proxy.server, path(root, &name)),
            namespace,
        });
        let mut set = Set::of_key(&impersonated.identity, &host)?;
        let config = Kubeconfig {
            authority_data: authority_data(&host, issuer.cluster()),
            clusters: clusters.collect(),
            user: root.clone(),
            credentials: user(issuer, &impersonated.identity, self.disable_exec_plugin)?,
            tls_server_name: proxy.tls_server_name.clone(),
        };
        set.push("kubeconfig.yaml", config.render());
        Ok(set)
    }

    /// Each cluster once, with the namespace of the first selector that finds it.
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

/// The path under which a proxy serves one Kubernetes cluster.
fn path(root: &str, cluster: &str) -> String {
    format!("/v1/teleport/{}/{}", URL_SAFE_NO_PAD.encode(root), URL_SAFE_NO_PAD.encode(cluster))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_cluster_is_told_by_its_path() {
        assert_eq!(super::path("dev.test", "eks?"), "/v1/teleport/ZGV2LnRlc3Q/ZWtzPw");
    }
}
