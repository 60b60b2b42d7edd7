//! Workload identity: X.509 and JWT SVIDs, the Workload API, AWS Roles Anywhere.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::attestation::Attestors;
use super::common::{ServiceFields, service};
use crate::config::closed_types::string_enum;
use crate::config::destination::Destination;
use crate::config::duration::GoDuration;
use crate::config::map::map;
use crate::config::scalar::{Identifier, Location, Switch};

service! {
    output
    /// An X.509 SVID, written as `svid.pem` (the certificate and its intermediates), `svid_key.pem`, `svid_bundle.pem`
    /// and, if the cluster has a list of revoked certificates, `svid_crl.pem`.
    pub struct WorkloadIdentityX509Service {
        /// The workload identity for which to issue the SVID.
        pub selector: WorkloadIdentitySelector,
        /// Adds the root certificates of federated trust domains to the bundle, updated at each renewal.
        #[schemars(extend("default" = false))]
        pub include_federated_trust_bundles: Option<Switch>,
        /// Additional trust domains whose root certificates are added to the bundle, if the cluster has them.
        #[schemars(extend("x-sensitivity" = "tuning"))]
        pub trust_domains: Option<Vec<TrustDomain>>,
    }
}

service! {
    output
    /// A JWT SVID, written to the file `jwt_svid`, which contains only the token.
    pub struct WorkloadIdentityJwtService {
        /// The workload identity for which to issue the SVID.
        pub selector: WorkloadIdentitySelector,
        /// The audiences of the token. At least one is required.
        #[schemars(extend("x-sensitivity" = "tuning"))]
        pub audiences: Vec<Identifier>,
    }
}

service! {
    lifetime
    /// A SPIFFE Workload API that issues SVIDs to attested processes.
    pub struct WorkloadIdentityApiService {
        /// The address to listen on, as `tcp://ip:port` or `unix:///path`.
        #[schemars(example = "unix:///opt/machine-id/workload.sock")]
        pub listen: Location,
        /// The workload identities for which to issue SVIDs.
        pub selector: WorkloadIdentitySelector,
        /// Additional trust domains whose root certificates are added to the bundle.
        #[schemars(extend("x-sensitivity" = "tuning"))]
        pub trust_domains: Option<Vec<TrustDomain>>,
        /// How the agent attests the processes that connect.
        pub attestors: Option<Attestors>,
    }
}

map! {
    /// Credentials of AWS IAM Roles Anywhere. They are renewed at `session_renewal_interval`, independently of the
    /// top-level `renewal_interval`.
    pub struct AwsRolesAnywhereService {
        /// The workload identity with which to authenticate to AWS.
        pub selector: WorkloadIdentitySelector,
        /// The ARN of the role to assume.
        #[schemars(example = "arn:aws:iam::123456789012:role/example")]
        pub role_arn: Identifier,
        /// The ARN of the Roles Anywhere profile.
        #[schemars(example = "arn:aws:rolesanywhere:eu-central-1:123456789012:profile/0123")]
        pub profile_arn: Identifier,
        /// The ARN of the trust anchor.
        #[schemars(example = "arn:aws:rolesanywhere:eu-central-1:123456789012:trust-anchor/0123")]
        pub trust_anchor_arn: Identifier,
        /// The AWS region. If unset, the environment variable `AWS_REGION` or the AWS configuration is used.
        #[schemars(example = "eu-central-1")]
        pub region: Option<Location>,
        /// The lifetime of the AWS session, at most 12h.
        #[schemars(extend("default" = "6h"))]
        pub session_duration: Option<GoDuration>,
        /// The time between renewals of the AWS session. Must be less than `session_duration`.
        #[schemars(extend("default" = "1h"))]
        pub session_renewal_interval: Option<GoDuration>,
        /// The name of the profile in the credentials file.
        #[schemars(extend("default" = "default"))]
        pub credential_profile_name: Option<Identifier>,
        /// The name of the credentials file.
        #[schemars(extend("default" = "aws_credentials"))]
        pub artifact_name: Option<Location>,
        /// Overwrites the credentials file, which removes its other profiles.
        #[schemars(extend("default" = false))]
        pub overwrite_credential_file: Option<Switch>,
        /// The destination to which the files are written.
        pub destination: Destination,
        /// The name in logs and health checks. Allowed characters: `a-z`, `0-9`, `_`, `-` and `+`. If unset, it is
        /// generated, such as `workload-identity-aws-roles-anywhere-1`.
        pub name: Option<Identifier>,
    }
}

impl ServiceFields for AwsRolesAnywhereService {
    fn name(&self) -> Option<&Identifier> {
        self.name.as_ref()
    }

    fn destination(&self) -> Option<&Destination> {
        Some(&self.destination)
    }
}

/// A selector of workload identities. Exactly one of `name` and `labels` must be set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct WorkloadIdentitySelector {
    /// The exact name of a workload identity.
    pub name: Option<Identifier>,
    /// The labels of workload identities, each with a list of accepted values. A workload identity matches if it has an
    /// accepted value for every label.
    #[schemars(extend("x-sensitivity" = "tuning"))]
    pub labels: Option<BTreeMap<String, LabelValues>>,
}

/// The accepted values of a label. At least one is required.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline, extend("x-sensitivity" = "tuning"))]
pub struct LabelValues(pub Vec<Identifier>);

string_enum! {
    /// A trust domain other than the cluster's own.
    #[sensitivity = Tuning]
    pub enum TrustDomain {
        /// The trust domain of application clients.
        AppClient = "app_client",
    }
}
