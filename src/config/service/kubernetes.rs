//! Kubernetes access: `kubernetes`, `kubernetes/v2`, `kubernetes/argo-cd`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::common::{Roles, service};
use crate::config::scalar::{Identifier, Location, Setting, Switch};

service! {
    output
    /// A kubeconfig for one Kubernetes cluster.
    pub struct KubernetesService {
        /// The name of the Kubernetes cluster.
        pub kubernetes_cluster: Identifier,
        /// Embeds the certificate in the kubeconfig instead of running `tbot kube credentials` as an exec plugin.
        #[schemars(extend("default" = false))]
        pub disable_exec_plugin: Option<Switch>,
        /// The ID of a delegation session. The bot acts on behalf of its user. Conflicts with `roles`.
        #[unsupported = "credentials for a delegation session"]
        pub delegation_session_id: Option<Identifier>,
        pub roles: Option<Roles>,
    }
    roles
}

service! {
    output
    /// A kubeconfig with one context for each Kubernetes cluster that a selector matches. Requires Teleport 16 or
    /// later: the proxy selects the Kubernetes cluster by the path of the request.
    pub struct KubernetesV2Service {
        /// The selectors that choose the Kubernetes clusters. At least one is required.
        #[schemars(extend("x-sensitivity" = "tuning"))]
        pub selectors: Vec<KubernetesSelector>,
        /// Embeds the certificate in the kubeconfig instead of running `tbot kube credentials` as an exec plugin.
        #[schemars(extend("default" = false))]
        pub disable_exec_plugin: Option<Switch>,
        /// The Go template for context names. `tbot start` supports only `{{.ClusterName}}`, `{{.KubeName}}` and comments in
        /// it, and reports an error for anything else.
        #[schemars(extend("default" = "{{.ClusterName}}-{{.KubeName}}"))]
        pub context_name_template: Option<Setting>,
        /// The address of a relay, as `host` or `host:port`.
        #[unsupported = "a relay"]
        pub relay_server: Option<Location>,
    }
}

service! {
    lifetime
    /// Secrets that register Kubernetes clusters with Argo CD, written to the Kubernetes cluster in which the agent runs.
    pub struct KubernetesArgoCdService {
        /// The selectors that choose the Kubernetes clusters. At least one is required.
        #[schemars(extend("x-sensitivity" = "tuning"))]
        pub selectors: Vec<KubernetesSelector>,
        /// The namespace of the Secrets. If unset, the environment variable `POD_NAMESPACE` is used; if that is unset,
        /// too, `default` is used.
        pub secret_namespace: Option<Identifier>,
        /// The prefix of the names of the Secrets.
        #[schemars(extend("default" = "teleport.argocd-cluster"))]
        pub secret_name_prefix: Option<Identifier>,
        /// Labels to add to the Secrets. The values are Go templates.
        #[schemars(extend("x-sensitivity" = "tuning"))]
        pub secret_labels: Option<BTreeMap<String, Identifier>>,
        /// Annotations to add to the Secrets. The values are Go templates.
        #[schemars(extend("x-sensitivity" = "tuning"))]
        pub secret_annotations: Option<BTreeMap<String, Identifier>>,
        /// The Argo CD project to which the clusters belong.
        pub project: Option<Identifier>,
        /// The namespaces that Argo CD may manage. If unset, it may manage all namespaces.
        #[schemars(extend("x-sensitivity" = "tuning"))]
        pub namespaces: Option<Vec<Identifier>>,
        /// Allows Argo CD to manage cluster-scoped resources. Requires `namespaces`.
        #[schemars(extend("default" = false))]
        pub cluster_resources: Option<Switch>,
        /// The Go template for cluster names in Argo CD.
        #[schemars(extend("default" = "{{.ClusterName}}-{{.KubeName}}"))]
        pub cluster_name_template: Option<Setting>,
    }
}

/// A selector of Kubernetes clusters. Exactly one of `name` and `labels` must be set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct KubernetesSelector {
    /// The exact name of a Kubernetes cluster.
    pub name: Option<Identifier>,
    /// The labels of Kubernetes clusters. A cluster matches if it has all of them.
    #[schemars(extend("x-sensitivity" = "tuning"))]
    pub labels: Option<BTreeMap<String, Identifier>>,
    /// The default namespace of the contexts for these clusters.
    pub default_namespace: Option<Identifier>,
}
