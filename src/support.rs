//! What this version of the agent runs, of all that its configuration can say. Depends on nothing.
//!
//! The schema accepts the whole format, so that a file can be checked and an event built for it. What is not in here is
//! refused at start, by name, before anything is joined; docs/configuration.md says so at its place. The lists of what
//! is refused shrink to none.

/// The service types that run.
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

/// The destination types that run.
pub const DESTINATIONS: &[&str] = &["directory", "kubernetes_secret", "memory"];

/// The join methods that run.
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

/// Properties of what runs that do not, by the schema's definition (`Config` is the root) and name, and what they would
/// give. A switch is refused where it is on.
pub const REFUSED: &[(&str, &str, &str)] = &[
    ("Config", "scoped", "scoped bots"),
    ("Config", "fips", "FIPS mode"),
    ("Identity", "delegation_session_id", "credentials for a delegation session"),
    ("Application", "delegation_session_id", "credentials for a delegation session"),
    ("Kubernetes", "delegation_session_id", "credentials for a delegation session"),
    ("KubernetesV2", "relay_server", "a relay"),
];

/// What a property would give, where it is refused.
pub fn refused(definition: &str, property: &str) -> Option<&'static str> {
    REFUSED.iter().find(|(of, name, _)| (*of, *name) == (definition, property)).map(|(_, _, what)| *what)
}
