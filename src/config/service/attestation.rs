//! How a Workload API attests the processes that connect to it. Depends on the scalar types.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::scalar::{ByteLimit, Location, Port, Switch};

/// How the agent attests processes. Settings of an attestor that is not enabled are not checked.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct Attestors {
    /// Attests the processes of pods by querying the kubelet.
    pub kubernetes: Option<KubernetesAttestor>,
    /// Attests the processes of Docker containers.
    pub docker: Option<DockerAttestor>,
    /// Attests the processes of Podman containers.
    pub podman: Option<PodmanAttestor>,
    /// Attests container images by their Sigstore signatures.
    pub sigstore: Option<SigstoreAttestor>,
    /// Attests the processes of systemd units.
    pub systemd: Option<SystemdAttestor>,
    /// Attests processes by user, group and binary.
    pub unix: Option<UnixAttestor>,
}

/// Attests the processes of pods by querying the kubelet.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct KubernetesAttestor {
    /// Enables this attestor.
    #[schemars(extend("default" = false))]
    pub enabled: Option<Switch>,
    /// How to connect to the kubelet.
    pub kubelet: Option<Kubelet>,
}

/// How to connect to the kubelet. Its host comes from the environment variable `TELEPORT_NODE_NAME`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct Kubelet {
    /// The read-only port of the kubelet. Conflicts with `secure_port`.
    pub read_only_port: Option<Port>,
    /// The secure port of the kubelet. Conflicts with `read_only_port`.
    #[schemars(extend("default" = 10250))]
    pub secure_port: Option<Port>,
    /// The path of the token with which to authenticate.
    #[schemars(extend("default" = "/var/run/secrets/kubernetes.io/serviceaccount/token"))]
    pub token_path: Option<Location>,
    /// The path of the certificate authority to trust.
    #[schemars(extend("default" = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"))]
    pub ca_path: Option<Location>,
    /// Accepts any certificate from the kubelet, without verification.
    #[schemars(extend("default" = false))]
    pub skip_verify: Option<Switch>,
    /// Connects without a token.
    #[schemars(extend("default" = false))]
    pub anonymous: Option<Switch>,
}

/// Attests the processes of Docker containers.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct DockerAttestor {
    /// Enables this attestor.
    #[schemars(extend("default" = false))]
    pub enabled: Option<Switch>,
    /// The address of the Docker socket, as `unix:///path`.
    #[schemars(extend("default" = "unix:///var/run/docker.sock"))]
    #[schemars(example = "unix:///var/run/docker.sock")]
    pub addr: Option<Location>,
}

/// Attests the processes of Podman containers.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct PodmanAttestor {
    /// Enables this attestor.
    #[schemars(extend("default" = false))]
    pub enabled: Option<Switch>,
    /// The address of the Podman socket, as `unix:///path`. Required if this attestor is enabled.
    #[schemars(example = "unix:///run/podman/podman.sock")]
    pub addr: Option<Location>,
}

/// Attests container images by their Sigstore signatures.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct SigstoreAttestor {
    /// Enables this attestor.
    #[schemars(extend("default" = false))]
    pub enabled: Option<Switch>,
    /// Registries to search for signatures, in addition to the registry of the image.
    #[schemars(extend("x-sensitivity" = "tuning"))]
    pub additional_registries: Option<Vec<SigstoreRegistry>>,
    /// The path of a file with credentials for the registries.
    pub credentials_path: Option<Location>,
    /// Private networks in which registries may be located, in CIDR notation.
    #[schemars(extend("x-sensitivity" = "tuning"))]
    #[schemars(extend("examples" = [["10.0.0.0/8"]]))]
    pub allowed_private_network_prefixes: Option<Vec<Location>>,
}

/// A registry to search for signatures.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct SigstoreRegistry {
    /// The host of the registry, as `host` or `host:port`.
    pub host: Option<Location>,
}

/// Attests the processes of systemd units.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct SystemdAttestor {
    /// Enables this attestor.
    #[schemars(extend("default" = false))]
    pub enabled: Option<Switch>,
}

/// Attests processes by user, group and binary.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct UnixAttestor {
    /// The size in bytes up to which a process's binary is hashed; -1 means no limit.
    #[schemars(extend("default" = 1_073_741_824))]
    pub binary_hash_max_size_bytes: Option<ByteLimit>,
}
