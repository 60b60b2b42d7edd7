//! The `ssh_host` output: a host key with a certificate for an OpenSSH server, and whom that server shall trust.

use url::form_urlencoded;

use super::error::OutputError;
use super::files::Set;
use super::issue::Issuer;
use crate::agent::credential::authority::Authority;
use crate::agent::credential::keys::KeyPair;
use crate::agent::credential::ssh_cert;

#[derive(Clone, Debug)]
pub(crate) struct SshHostOutput {
    pub(crate) principals: Vec<String>,
    pub(crate) authority: SshAuthority,
}

/// Whose keys the server shall trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SshAuthority {
    User,
    Openssh,
}

impl SshAuthority {
    fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Openssh => "openssh",
        }
    }
}

impl SshHostOutput {
    pub(super) async fn set(&self, issuer: &Issuer<'_>) -> Result<Set, OutputError> {
        let impersonated = issuer.impersonated(false).await?;
        let client = issuer.client_of(&impersonated).await?;
        let key = KeyPair::generate()?;
        let (cluster, ttl) = (issuer.cluster(), issuer.settings.ttl);
        let certificate = client.host_cert(&key.ssh_line()?, &self.principals, cluster, ttl).await?;
        let not_after = ssh_cert::host_certificate_expiry(&certificate, key.ssh_key())?;
        let authorities = issuer.bot.authorities(self.authority.name()).await?;
        let mut set = Set { files: Vec::new(), not_after };
        set.push("ssh_host", key.private_pem());
        set.push("ssh_host-cert.pub", certificate);
        set.push("ssh_host-user-ca.pub", trusted(&authorities, cluster, self.authority));
        Ok(set)
    }
}

/// One line a trusted key of the own cluster: `ssh-rsa AAAA… clustername=…&type=user`.
fn trusted(authorities: &[Authority], cluster: &str, authority: SshAuthority) -> String {
    let comment: String = form_urlencoded::Serializer::new(String::new())
        .append_pair("clustername", cluster)
        .append_pair("type", authority.name())
        .finish();
    let keys = authorities.iter().filter(|authority| authority.cluster == cluster).flat_map(|ca| &ca.ssh);
    keys.map(|key| format!("{key} {comment}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::recordings::recorded;

    #[test]
    fn trusted_keys_are_the_file_that_the_go_agent_wrote() {
        let theirs = recorded("outputs/ssh_host/ssh_host-user-ca.pub");
        let key = theirs.rsplit_once(' ').unwrap().0.to_owned();
        let authority = |cluster: &str| Authority {
            cluster: cluster.to_owned(),
            ssh: vec![key.clone()],
            tls: Vec::new(),
        };
        let all = [authority("leaf.test"), authority("dev.test")];
        assert_eq!(trusted(&all, "dev.test", SshAuthority::User), theirs);
    }
}
