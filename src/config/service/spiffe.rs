//! SPIFFE before workload identity: `spiffe-svid` and `spiffe-workload-api`, accepted and superseded.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Attestors, service};
use crate::config::scalar::Number;
use crate::config::{GoDuration, Identifier, Location, Switch};

service! {
    output
    /// An X.509 SVID by path; superseded by `workload-identity-x509` and `workload-identity-jwt`.
    #[schemars(extend("deprecated" = true))]
    pub struct SpiffeSvid {
        /// Which SVID.
        pub svid: Svid,
        /// JWT SVIDs to write too.
        #[schemars(extend("x-sensitivity" = "tuning"))]
        pub jwts: Option<Vec<SvidJwt>>,
        /// Whether the bundle holds the roots of federated trust domains too.
        #[schemars(extend("default" = false))]
        pub include_federated_trust_bundles: Option<Switch>,
    }
}

/// An SVID, by its path.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct Svid {
    /// Path within the trust domain; begins with `/`.
    #[schemars(example = "/svc/foo")]
    pub path: Identifier,
    /// Hint for workloads that get several SVIDs.
    pub hint: Option<Identifier>,
    /// Subject alternative names.
    pub sans: Option<SvidSans>,
    /// Another place of the service's own `jwts`.
    #[schemars(extend("deprecated" = true, "x-sensitivity" = "tuning"))]
    pub jwts: Option<Vec<SvidJwt>>,
}

/// Subject alternative names of an SVID.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct SvidSans {
    /// DNS names.
    #[schemars(extend("x-sensitivity" = "tuning"))]
    pub dns: Option<Vec<Identifier>>,
    /// IP addresses.
    #[schemars(extend("x-sensitivity" = "tuning"))]
    pub ip: Option<Vec<Identifier>>,
}

/// A JWT SVID and the file it is written to.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct SvidJwt {
    /// Audience of the token.
    pub audience: Identifier,
    /// Name of the file.
    pub file_name: Location,
}

service! {
    lifetime
    /// A SPIFFE Workload API by rules; superseded by `workload-identity-api`.
    #[schemars(extend("deprecated" = true))]
    pub struct SpiffeWorkloadApi {
        /// Where to listen.
        #[schemars(example = "unix:///opt/machine-id/workload.sock")]
        pub listen: Location,
        /// SVIDs and who gets them; at least one.
        #[schemars(extend("x-sensitivity" = "tuning"))]
        pub svids: Vec<SvidRequest>,
        /// How long JWT SVIDs live.
        pub jwt_svid_ttl: Option<GoDuration>,
        /// How processes are attested.
        pub attestors: Option<Attestors>,
    }
}

/// An SVID and who gets it.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct SvidRequest {
    /// Path within the trust domain; begins with `/`.
    #[schemars(example = "/svc/foo")]
    pub path: Identifier,
    /// Hint for workloads that get several SVIDs.
    pub hint: Option<Identifier>,
    /// Subject alternative names.
    pub sans: Option<SvidSans>,
    /// Who gets it, one of these; unset, every process.
    #[schemars(extend("x-sensitivity" = "tuning"))]
    pub rules: Option<Vec<SvidRule>>,
}

/// A process that matches all that is written here.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct SvidRule {
    /// What the operating system knows of it.
    pub unix: Option<UnixRule>,
    /// What Kubernetes knows of it.
    pub kubernetes: Option<KubernetesRule>,
}

/// What the operating system knows of a process.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct UnixRule {
    /// Its user id.
    pub uid: Option<Number>,
    /// Its process id.
    pub pid: Option<Number>,
    /// Its group id.
    pub gid: Option<Number>,
}

/// What Kubernetes knows of a process.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct KubernetesRule {
    /// Namespace of its pod.
    pub namespace: Option<Identifier>,
    /// Service account of its pod.
    pub service_account: Option<Identifier>,
    /// Name of its pod.
    pub pod_name: Option<Identifier>,
}
