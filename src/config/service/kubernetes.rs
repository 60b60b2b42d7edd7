//! Kubernetes access: `kubernetes`, `kubernetes/v2`, `kubernetes/argo-cd`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::service;
use crate::config::{Identifier, Location, Roles, Setting, Switch};

service! {
    output
    /// A kubeconfig for one Kubernetes cluster.
    pub struct Kubernetes {
        /// Name of the Kubernetes cluster.
        pub kubernetes_cluster: Identifier,
        /// Whether the kubeconfig holds the certificate itself instead of running `tbot kube credentials`.
        #[schemars(extend("default" = false))]
        pub disable_exec_plugin: Option<Switch>,
        /// Session of a human user to act for. Excludes `roles`.
        pub delegation_session_id: Option<Identifier>,
        pub roles: Option<Roles>,
    }
    roles
}

service! {
    output
    /// A kubeconfig with a context for each Kubernetes cluster that a selector finds. Needs Teleport 16 or newer: the proxy
    /// has to tell the clusters apart by the path of a request.
    pub struct KubernetesV2 {
        /// Which Kubernetes clusters; at least one selector.
        #[schemars(extend("x-sensitivity" = "tuning"))]
        pub selectors: Vec<KubernetesSelector>,
        /// Whether the kubeconfig holds the certificate itself instead of running `tbot kube credentials`.
        #[schemars(extend("default" = false))]
        pub disable_exec_plugin: Option<Switch>,
        /// Go template of a context's name. `tbot start` takes `{{.ClusterName}}` and `{{.KubeName}}` in it, and refuses by
        /// name what asks for more.
        #[schemars(extend("default" = "{{.ClusterName}}-{{.KubeName}}"))]
        pub context_name_template: Option<Setting>,
        /// Address of a relay, as `host` or `host:port`.
        pub relay_server: Option<Location>,
    }
}

service! {
    lifetime
    /// Secrets that declare Kubernetes clusters to Argo CD, written into the cluster that the agent runs in.
    pub struct KubernetesArgoCd {
        /// Which Kubernetes clusters; at least one selector.
        #[schemars(extend("x-sensitivity" = "tuning"))]
        pub selectors: Vec<KubernetesSelector>,
        /// Namespace of the Secrets; unset, the environment's `POD_NAMESPACE`, else `default`.
        pub secret_namespace: Option<Identifier>,
        /// What the Secrets' names begin with.
        #[schemars(extend("default" = "teleport.argocd-cluster"))]
        pub secret_name_prefix: Option<Identifier>,
        /// Labels of the Secrets; the values are Go templates.
        #[schemars(extend("x-sensitivity" = "tuning"))]
        pub secret_labels: Option<BTreeMap<String, Identifier>>,
        /// Annotations of the Secrets; the values are Go templates.
        #[schemars(extend("x-sensitivity" = "tuning"))]
        pub secret_annotations: Option<BTreeMap<String, Identifier>>,
        /// Argo CD project that the clusters belong to.
        pub project: Option<Identifier>,
        /// Namespaces that Argo CD may manage; unset, all.
        #[schemars(extend("x-sensitivity" = "tuning"))]
        pub namespaces: Option<Vec<Identifier>>,
        /// Whether Argo CD may manage what belongs to no namespace. Goes with `namespaces`.
        #[schemars(extend("default" = false))]
        pub cluster_resources: Option<Switch>,
        /// Go template of a cluster's name.
        #[schemars(extend("default" = "{{.ClusterName}}-{{.KubeName}}"))]
        pub cluster_name_template: Option<Setting>,
    }
}

/// Which Kubernetes clusters: exactly one of `name` and `labels`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct KubernetesSelector {
    /// The cluster with exactly this name.
    pub name: Option<Identifier>,
    /// The clusters with all of these labels.
    #[schemars(extend("x-sensitivity" = "tuning"))]
    pub labels: Option<BTreeMap<String, Identifier>>,
    /// Namespace of the contexts.
    pub default_namespace: Option<Identifier>,
}
