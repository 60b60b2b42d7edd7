//! The names of the files and directories that services create in their destinations. Depends on the services.

use super::{DatabaseFormat, DestinationUse, Service};

/// The files of an identity, with the certificate authorities of the cluster.
pub(super) const CLUSTER_FILES: &[&str] = &[
    "identity",
    "key",
    "key-cert.pub",
    "key.pub",
    "teleport-database-ca.crt",
    "teleport-host-ca.crt",
    "teleport-user-ca.crt",
    "tlscert",
];
pub(super) const TLS_FILES: &[&str] = &["tls.cas", "tls.crt", "tls.key"];
/// The first name is that of the file whose contents differ between services, so a conflict about both is reported about this one.
pub(super) const SSH_CONFIG_FILES: &[&str] = &["ssh_config", "known_hosts"];
pub(super) const KUBECONFIG_FILES: &[&str] = &["kubeconfig.yaml"];
pub(super) const SVID_FILES: &[&str] = &["svid.pem", "svid_bundle.pem", "svid_crl.pem", "svid_key.pem"];

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
