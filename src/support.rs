//! Lists which parts of the configuration this version of the agent can run. Depends on nothing.
//!
//! The schema accepts the whole format, so that any file can be validated and its event built. `tbot start` names every
//! part that is not supported and exits before it joins; docs/configuration.md marks these parts.

/// The supported service types.
pub const SERVICES: &[&str] = &[
    "identity",
    "application",
    "database",
    "kubernetes",
    "kubernetes/v2",
    "ssh_host",
    "workload-identity-x509",
    "workload-identity-jwt",
];

/// The supported destination types.
pub const DESTINATIONS: &[&str] = &["directory", "kubernetes_secret", "memory"];

/// The supported join methods.
pub const JOIN_METHODS: &[&str] = &[
    "token",
    "azure",
    "azure_devops",
    "bitbucket",
    "circleci",
    "env0",
    "gcp",
    "github",
    "gitlab",
    "iam",
    "kubernetes",
    "spacelift",
    "terraform_cloud",
];

/// Unsupported properties of otherwise supported types: the schema definition (`Config` is the root), the property, and
/// the feature that it configures. A boolean is unsupported only when it is true.
pub const UNSUPPORTED_PROPERTIES: &[(&str, &str, &str)] = &[
    ("Config", "scoped", "scoped bots"),
    ("Config", "fips", "FIPS mode"),
    ("IdentityService", "delegation_session_id", "credentials for a delegation session"),
    ("ApplicationService", "delegation_session_id", "credentials for a delegation session"),
    ("KubernetesService", "delegation_session_id", "credentials for a delegation session"),
    ("KubernetesV2Service", "relay_server", "a relay"),
];

/// Returns the feature that a property configures, if this version does not support it.
pub fn unsupported_property(definition: &str, property: &str) -> Option<&'static str> {
    UNSUPPORTED_PROPERTIES
        .iter()
        .find(|(of, name, _)| (*of, *name) == (definition, property))
        .map(|(_, _, feature)| *feature)
}
