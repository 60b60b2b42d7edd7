//! The names of the files and directories that the agent creates in its storage and in the destinations of services. Depends on the
//! services.

use super::{DatabaseFormat, DestinationUse, Service};

/// The files of an identity, with the certificate authorities of the cluster's proxies and hosts.
pub(crate) const HOST_CA_FILES: &[&str] =
    &["identity", "key", "key-cert.pub", "key.pub", "teleport-host-ca.crt", "tlscert"];
/// The files of the cluster's other certificate authorities.
pub(crate) const OTHER_CA_FILES: &[&str] = &["teleport-database-ca.crt", "teleport-user-ca.crt"];
pub(super) const TLS_FILES: &[&str] = &["tls.cas", "tls.crt", "tls.key"];
/// The agent also writes them for each cluster, as `CLUSTER.ssh_config`. The first name is that of the file whose contents differ
/// between services, so a conflict about both is reported about this one.
pub(crate) const SSH_CONFIG_FILES: &[&str] = &["ssh_config", "known_hosts"];
pub(super) const KUBECONFIG_FILES: &[&str] = &["kubeconfig.yaml"];
pub(crate) const SSH_HOST_FILES: &[&str] = &["ssh_host", "ssh_host-cert.pub", "ssh_host-user-ca.pub"];
pub(crate) const SVID_FILES: &[&str] = &["svid.pem", "svid_bundle.pem", "svid_key.pem"];
/// The list of revoked certificates, which a cluster may not have.
pub(super) const SVID_CRL_FILES: &[&str] = &["svid_crl.pem"];
pub(crate) const JWT_SVID_FILES: &[&str] = &["jwt_svid"];

/// The files of the storage.
pub(crate) const STORAGE_FILES: [&str; 14] = [
    "bkp_key_history.json",
    "bkp_state",
    "id_bkp",
    "id_bkp.pub",
    "key",
    "key-cert.pub",
    "key.pub",
    "lock",
    "renewal-pending",
    "sshcacerts",
    "sshcert",
    "tlscacerts",
    "tlscert",
    "tokenhash",
];

/// Returns whether the agent itself uses this name in every directory in which it replaces files.
pub(crate) fn is_reserved_name(name: &str) -> bool {
    name.starts_with("..") || name.starts_with(".tbot-") || name == ".write-test"
}

impl Service {
    /// Returns the names of the files and directories that the service may create in its destination. The name of a directory ends
    /// in `/`.
    #[must_use]
    pub fn file_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = match self.service_type().destination {
            DestinationUse::None => Vec::new(),
            DestinationUse::Socket(names) | DestinationUse::Files(names) => names.concat(),
        };
        match self {
            Self::Database(database) if database.format == Some(DatabaseFormat::Cockroach) => {
                names.push("cockroach/");
            }
            Self::WorkloadIdentityAwsRolesAnywhere(aws) => {
                let configured = aws.artifact_name.as_ref().filter(|name| !name.is_empty());
                names.push(configured.map_or("aws_credentials", |name| name.as_str()));
            }
            Self::SpiffeSvid(svid) => {
                let jwts = svid.jwts.iter().chain(&svid.svid.jwts).flatten();
                names.extend(jwts.map(|jwt| jwt.file_name.as_str()));
            }
            _ => {}
        }
        names
    }
}
