//! The `ssh_host` output: a host key and certificate for an OpenSSH server, and the user CAs that it must trust.

use url::form_urlencoded;

use super::error::OutputError;
use super::files::FileSet;
use super::issue::Issuer;
use crate::agent::credential::authority::CertAuthority;
use crate::agent::credential::keys::KeyPair;
use crate::agent::credential::ssh_cert;
use crate::agent::teleport::auth_client::CaType;
use crate::config::{SshCaType, SshHostService};

#[derive(Clone, Debug)]
pub(crate) struct SshHostOutput {
    principals: Vec<String>,
    /// The CA whose user certificates the server accepts.
    ca_type: SshCaType,
}

impl SshHostOutput {
    pub(crate) fn new(service: &SshHostService) -> Self {
        let SshHostService {
            destination: _,
            principals,
            ca_type,
            name: _,
            credential_ttl: _,
            certificate_ttl: _,
            renewal_interval: _,
            roles: _,
        } = service;
        Self {
            principals: principals.iter().map(|principal| principal.as_str().to_owned()).collect(),
            ca_type: ca_type.unwrap_or(SshCaType::User),
        }
    }

    pub(super) async fn issue(&self, issuer: &Issuer<'_>) -> Result<FileSet, OutputError> {
        let impersonated = issuer.impersonate().await?;
        let client = issuer.client_as(&impersonated)?;
        let key = KeyPair::generate()?;
        let (cluster, ttl) = (issuer.cluster(), issuer.settings.ttl);
        let certificate = client.host_cert(&key.ssh_line()?, &self.principals, cluster, ttl).await?;
        let not_after = ssh_cert::host_certificate_expiry(&certificate, key.ssh_key())?;
        let ca_type = match self.ca_type {
            SshCaType::User => CaType::User,
            SshCaType::Openssh => CaType::Openssh,
        };
        let authorities = issuer.bot_client.authorities(ca_type).await?;
        let mut files = FileSet::new(not_after);
        files.push("ssh_host", key.private_pem());
        files.push("ssh_host-cert.pub", certificate);
        files.push("ssh_host-user-ca.pub", trusted_keys(&authorities, cluster, self.ca_type));
        Ok(files)
    }
}

/// Returns one line per trusted key of the cluster: `ssh-rsa AAAA… clustername=…&type=user`.
fn trusted_keys(authorities: &[CertAuthority], cluster: &str, ca_type: SshCaType) -> String {
    let comment: String = form_urlencoded::Serializer::new(String::new())
        .append_pair("clustername", cluster)
        .append_pair("type", ca_type.as_str())
        .finish();
    let keys = authorities.iter().filter(|ca| *ca.cluster == *cluster).flat_map(|ca| &ca.ssh);
    keys.map(|key| format!("{key} {comment}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::recordings::recorded;

    #[test]
    fn the_trusted_keys_match_the_recording() {
        let recording = recorded("outputs/ssh_host/ssh_host-user-ca.pub");
        let key = recording.rsplit_once(' ').unwrap().0.to_owned();
        let authority = |cluster: &str| CertAuthority {
            cluster: cluster.parse().unwrap(),
            ssh: vec![key.clone()],
            tls: Vec::new(),
        };
        let all = [authority("leaf.test"), authority("dev.test")];
        assert_eq!(trusted_keys(&all, "dev.test", SshCaType::User), recording);
    }
}
