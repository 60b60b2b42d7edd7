//! Workload identity: X.509 and JWT SVIDs, the Workload API, AWS Roles Anywhere.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{ServiceFields, service};
use crate::config::closed::string_enum;
use crate::config::scalar::{ByteLimit, Port};
use crate::config::{Destination, GoDuration, Identifier, Location, Switch};

service! {
    output
    /// An X.509 SVID: `svid.pem` (the certificate and those above it), `svid_key.pem`, `svid_bundle.pem`. There is no
    /// `svid_crl.pem`: this agent does not fetch revocations, so that who verifies must get them elsewhere.
    pub struct WorkloadIdentityX509 {
        /// Which workload identity.
        pub selector: WorkloadIdentitySelector,
        /// Whether the bundle holds the roots of federated trust domains too, as they are at each renewal.
        #[schemars(extend("default" = false))]
        pub include_federated_trust_bundles: Option<Switch>,
        /// Further trust domains whose roots the bundle holds, where the cluster has them.
        #[schemars(extend("x-sensitivity" = "tuning"))]
        pub trust_domains: Option<Vec<TrustDomain>>,
    }
}

service! {
    output
    /// A JWT SVID: `jwt_svid`, the token and nothing else.
    pub struct WorkloadIdentityJwt {
        /// Which workload identity.
        pub selector: WorkloadIdentitySelector,
        /// Audiences of the token; at least one.
        #[schemars(extend("x-sensitivity" = "tuning"))]
        pub audiences: Vec<Identifier>,
    }
}

service! {
    lifetime
    /// A SPIFFE Workload API for processes that are attested.
    pub struct WorkloadIdentityApi {
        /// Where to listen.
        #[schemars(example = "unix:///opt/machine-id/workload.sock")]
        pub listen: Location,
        /// Which workload identities.
        pub selector: WorkloadIdentitySelector,
        /// Further trust domains whose roots the bundle holds.
        #[schemars(extend("x-sensitivity" = "tuning"))]
        pub trust_domains: Option<Vec<TrustDomain>>,
        /// How processes are attested.
        pub attestors: Option<Attestors>,
    }
}

/// Credentials of AWS IAM Roles Anywhere, renewed on a schedule of their own.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkloadIdentityAwsRolesAnywhere {
    /// Which workload identity.
    pub selector: WorkloadIdentitySelector,
    /// ARN of the role to assume.
    pub role_arn: Identifier,
    /// ARN of the Roles Anywhere profile.
    pub profile_arn: Identifier,
    /// ARN of the trust anchor.
    pub trust_anchor_arn: Identifier,
    /// AWS region; unset, the environment's `AWS_REGION` or AWS configuration.
    #[schemars(example = "eu-central-1")]
    pub region: Option<Location>,
    /// How long the AWS session lives; at most 12h.
    #[schemars(extend("default" = "6h"))]
    pub session_duration: Option<GoDuration>,
    /// How often the AWS session is renewed; less than its duration.
    #[schemars(extend("default" = "1h"))]
    pub session_renewal_interval: Option<GoDuration>,
    /// Name of the profile in the credential file.
    #[schemars(extend("default" = "default"))]
    pub credential_profile_name: Option<Identifier>,
    /// Name of the credential file.
    #[schemars(extend("default" = "aws_credentials"))]
    pub artifact_name: Option<Location>,
    /// Whether other profiles in the credential file are dropped.
    #[schemars(extend("default" = false))]
    pub overwrite_credential_file: Option<Switch>,
    /// Where the files are written.
    pub destination: Destination,
    /// Name of the service, for logs and health: `a-z`, `0-9`, `_`, `-`, `+`. Unset, its type and a number.
    pub name: Option<Identifier>,
}

impl ServiceFields for WorkloadIdentityAwsRolesAnywhere {
    fn name(&self) -> Option<&Identifier> {
        self.name.as_ref()
    }

    fn destination(&self) -> Option<&Destination> {
        Some(&self.destination)
    }
}

/// Which workload identities: exactly one of `name` and `labels`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct WorkloadIdentitySelector {
    /// The workload identity with exactly this name.
    pub name: Option<Identifier>,
    /// The workload identities with all of these labels; each with at least one accepted value.
    #[schemars(extend("x-sensitivity" = "tuning"))]
    pub labels: Option<BTreeMap<String, LabelValues>>,
}

/// Accepted values of a label; at least one.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline, extend("x-sensitivity" = "tuning"))]
pub struct LabelValues(pub Vec<Identifier>);

string_enum! {
    /// A trust domain beside the cluster's own.
    #[sensitivity = Tuning]
    pub enum TrustDomain {
        /// Clients of applications.
        AppClient = "app_client",
    }
}

/// How processes are attested. A block that is not enabled is not looked at.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct Attestors {
    /// By the kubelet, for pods.
    pub kubernetes: Option<KubernetesAttestor>,
    /// By Docker, for its containers.
    pub docker: Option<DockerAttestor>,
    /// By Podman, for its containers.
    pub podman: Option<PodmanAttestor>,
    /// By Sigstore signatures of container images.
    pub sigstore: Option<SigstoreAttestor>,
    /// By systemd, for its units.
    pub systemd: Option<SystemdAttestor>,
    /// By the process itself: user, group, binary.
    pub unix: Option<UnixAttestor>,
}

/// Attestation by the kubelet.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct KubernetesAttestor {
    /// Whether it is used.
    #[schemars(extend("default" = false))]
    pub enabled: Option<Switch>,
    /// How to reach the kubelet.
    pub kubelet: Option<Kubelet>,
}

/// How to reach the kubelet. Its host is the environment's `TELEPORT_NODE_NAME`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct Kubelet {
    /// The read-only port; excludes `secure_port`.
    pub read_only_port: Option<Port>,
    /// The secure port.
    #[schemars(extend("default" = 10250))]
    pub secure_port: Option<Port>,
    /// Path of the token to use.
    #[schemars(extend("default" = "/var/run/secrets/kubernetes.io/serviceaccount/token"))]
    pub token_path: Option<Location>,
    /// Path of the certificate authority to trust.
    #[schemars(extend("default" = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"))]
    pub ca_path: Option<Location>,
    /// Whether the kubelet's certificate is taken unverified.
    #[schemars(extend("default" = false))]
    pub skip_verify: Option<Switch>,
    /// Whether no token is used.
    #[schemars(extend("default" = false))]
    pub anonymous: Option<Switch>,
}

/// Attestation by Docker.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct DockerAttestor {
    /// Whether it is used.
    #[schemars(extend("default" = false))]
    pub enabled: Option<Switch>,
    /// Address of Docker's socket.
    #[schemars(extend("default" = "unix:///var/run/docker.sock"))]
    pub addr: Option<Location>,
}

/// Attestation by Podman.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct PodmanAttestor {
    /// Whether it is used.
    #[schemars(extend("default" = false))]
    pub enabled: Option<Switch>,
    /// Address of Podman's socket; needed where it is used.
    #[schemars(example = "unix:///run/podman/podman.sock")]
    pub addr: Option<Location>,
}

/// Attestation by Sigstore signatures.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct SigstoreAttestor {
    /// Whether it is used.
    #[schemars(extend("default" = false))]
    pub enabled: Option<Switch>,
    /// Registries to look for signatures in, beside the image's own.
    #[schemars(extend("x-sensitivity" = "tuning"))]
    pub additional_registries: Option<Vec<SigstoreRegistry>>,
    /// Path of a file with credentials for the registries.
    pub credentials_path: Option<Location>,
    /// Private networks, in CIDR notation, that registries may be in.
    #[schemars(extend("x-sensitivity" = "tuning"))]
    pub allowed_private_network_prefixes: Option<Vec<Location>>,
}

/// A registry to look for signatures in.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct SigstoreRegistry {
    /// Host of the registry, with a port where it has one.
    pub host: Option<Location>,
}

/// Attestation by systemd.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct SystemdAttestor {
    /// Whether it is used.
    #[schemars(extend("default" = false))]
    pub enabled: Option<Switch>,
}

/// Attestation by the process itself.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct UnixAttestor {
    /// Largest binary that is hashed, in bytes; -1 for no limit.
    #[schemars(extend("default" = 1_073_741_824))]
    pub binary_hash_max_size_bytes: Option<ByteLimit>,
}
