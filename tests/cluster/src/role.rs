//! Roles, as far as the cluster enforces them.

use std::time::Duration;

/// A role that outputs may impersonate.
#[derive(Clone, Debug)]
pub struct Role {
    pub name: String,
    /// The SSH logins that become principals of certificates. If there are none, a certificate gets a random login that
    /// does not exist anywhere.
    pub logins: Vec<String>,
    pub kubernetes_groups: Vec<String>,
    pub db_names: Vec<String>,
    pub db_users: Vec<String>,
    /// Whether the role allows creating host certificates.
    pub allow_host_certs: bool,
    /// Whether the role allows reading, listing and issuing all workload identities.
    pub allow_workload_identities: bool,
    /// The maximum validity of certificates with this role.
    pub max_session_ttl: Duration,
}

impl Role {
    /// Returns the role of the recordings: logins `root` and `ubuntu`, the Kubernetes group `system:masters`, all
    /// databases, host certificates. It also allows workload identities, which the recorded server did not
    /// support.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            logins: vec!["root".into(), "ubuntu".into()],
            kubernetes_groups: vec!["system:masters".into()],
            db_names: vec!["*".into()],
            db_users: vec!["*".into()],
            allow_host_certs: true,
            allow_workload_identities: true,
            max_session_ttl: Duration::from_secs(30 * 60 * 60),
        }
    }
}
