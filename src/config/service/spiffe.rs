//! The predecessors of workload identity: `spiffe-svid` and `spiffe-workload-api`, still accepted but deprecated.

use schemars::JsonSchema;
use serde::Deserialize;

use super::attestation::Attestors;
use super::common::service;
use crate::config::duration::GoDuration;
use crate::config::scalar::{Identifier, Location, Switch, SystemId};

service! {
    output
    /// An X.509 SVID for a SPIFFE path. Deprecated: use `workload-identity-x509` and `workload-identity-jwt` instead.
    #[schemars(extend("deprecated" = true))]
    pub struct SpiffeSvidService {
        /// The SVID to request.
        pub svid: Svid,
        /// JWT SVIDs to write in addition to the X.509 SVID.
        #[schemars(extend("x-sensitivity" = "tuning"))]
        pub jwts: Option<Vec<SvidJwt>>,
        /// Adds the root certificates of federated trust domains to the bundle.
        #[schemars(extend("default" = false))]
        pub include_federated_trust_bundles: Option<Switch>,
    }
}

/// An SVID, identified by its SPIFFE path.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct Svid {
    /// The path of the SPIFFE ID within the trust domain. Must begin with `/`.
    #[schemars(example = "/svc/foo")]
    pub path: Identifier,
    /// A hint that helps workloads with several SVIDs to tell them apart.
    pub hint: Option<Identifier>,
    /// The subject alternative names of the SVID.
    pub sans: Option<SvidSans>,
    /// An alternative location for the service's `jwts`.
    #[schemars(extend("deprecated" = true, "x-sensitivity" = "tuning"))]
    pub jwts: Option<Vec<SvidJwt>>,
}

/// The subject alternative names of an SVID.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct SvidSans {
    /// DNS names.
    #[schemars(extend("x-sensitivity" = "tuning"))]
    pub dns: Option<Vec<Identifier>>,
    /// IP addresses.
    #[schemars(extend("x-sensitivity" = "tuning"))]
    #[schemars(extend("examples" = [["192.0.2.1"]]))]
    pub ip: Option<Vec<Identifier>>,
}

/// A JWT SVID and the file to which it is written.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct SvidJwt {
    /// The audience of the token.
    pub audience: Identifier,
    /// The name of the file to which the token is written.
    pub file_name: Location,
}

service! {
    lifetime
    /// A SPIFFE Workload API that issues SVIDs according to rules. Deprecated: use `workload-identity-api` instead.
    #[schemars(extend("deprecated" = true))]
    pub struct SpiffeWorkloadApiService {
        /// The address to listen on, as `tcp://ip:port` or `unix:///path`.
        #[schemars(example = "unix:///opt/machine-id/workload.sock")]
        pub listen: Location,
        /// The SVIDs to issue, each with the rules for receiving it. At least one is required.
        #[schemars(extend("x-sensitivity" = "tuning"))]
        pub svids: Vec<WorkloadApiSvid>,
        /// The lifetime of JWT SVIDs.
        pub jwt_svid_ttl: Option<GoDuration>,
        /// How the agent attests the processes that connect.
        pub attestors: Option<Attestors>,
    }
}

/// An SVID that a SPIFFE Workload API issues, and the rules for receiving it.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct WorkloadApiSvid {
    /// The path of the SPIFFE ID within the trust domain. Must begin with `/`.
    #[schemars(example = "/svc/foo")]
    pub path: Identifier,
    /// A hint that helps workloads with several SVIDs to tell them apart.
    pub hint: Option<Identifier>,
    /// The subject alternative names of the SVID.
    pub sans: Option<SvidSans>,
    /// The rules for receiving the SVID. A process receives it if it matches at least one rule. If unset, every process
    /// receives it.
    #[schemars(extend("x-sensitivity" = "tuning"))]
    pub rules: Option<Vec<SvidRule>>,
}

/// A rule for receiving an SVID. A process matches if it meets all of the conditions.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct SvidRule {
    /// Conditions on the attributes that the operating system reports for the process.
    pub unix: Option<UnixRule>,
    /// Conditions on the attributes that Kubernetes reports for the process.
    pub kubernetes: Option<KubernetesRule>,
}

/// Conditions on the attributes that the operating system reports for a process.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct UnixRule {
    /// The user ID of the process.
    pub uid: Option<SystemId>,
    /// The process ID.
    pub pid: Option<SystemId>,
    /// The group ID of the process.
    pub gid: Option<SystemId>,
}

/// Conditions on the attributes that Kubernetes reports for a process.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct KubernetesRule {
    /// The namespace of the pod.
    pub namespace: Option<Identifier>,
    /// The service account of the pod.
    pub service_account: Option<Identifier>,
    /// The name of the pod.
    pub pod_name: Option<Identifier>,
}
