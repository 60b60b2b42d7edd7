//! The `identity` file: key, certificates and host authorities in one text, for `tsh -i`, `tctl -i` and our own commands.
//! Pure.

use std::time::Duration;

use serde_json::json;

use crate::agent::credential::authority::Authority;
use crate::agent::credential::identity::Identity;
use crate::agent::credential::x509::{UserCert, X509Error};
use crate::agent::platform::options::Clock;

/// A program that is told an end acts on it; it is told one that comes a little before the real one.
const MARGIN: Duration = Duration::from_secs(60);

/// Private key, SSH certificate, TLS certificate, then every cluster's SSH authorities, then every TLS authority.
pub(crate) fn write(identity: &Identity, host: &[Authority]) -> String {
    let mut text = String::new();
    push(&mut text, identity.key.private_pem());
    push(&mut text, &identity.certs.ssh);
    push(&mut text, &identity.certs.tls);
    for authority in host {
        for key in &authority.ssh {
            let cluster = &authority.cluster;
            push(&mut text, &format!("@cert-authority {cluster},*.{cluster} {key} type=host"));
        }
    }
    for certificate in host.iter().flat_map(|authority| &authority.tls) {
        push(&mut text, certificate);
    }
    text
}

fn push(text: &mut String, piece: &str) {
    text.push_str(piece);
    if !piece.ends_with('\n') {
        text.push('\n');
    }
}

/// Why a text is no identity file. Says nothing of its content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityFileError {
    /// A key and a certificate in PEM are expected, in this order.
    #[error("not an identity file: it has no {0}; was it written by tbot?")]
    Missing(&'static str),
    /// The certificate.
    #[error("not an identity file of Teleport: {0}")]
    X509(#[from] X509Error),
}

/// What other programs are told of an `identity` file. Prints nothing of it.
pub struct IdentityFile {
    key: String,
    certificate: String,
    user: UserCert,
}

impl IdentityFile {
    /// Reads the text of an `identity` file: the first PEM block is the key, the second the TLS certificate.
    ///
    /// # Errors
    ///
    /// [`IdentityFileError`] where one of the two is missing or is no certificate of Teleport.
    pub fn parse(text: &str) -> Result<Self, IdentityFileError> {
        let mut blocks = pem_blocks(text);
        let mut next = |what, label: &str| {
            let block =
                blocks.next().filter(|block| block.lines().next().is_some_and(|line| line.contains(label)));
            block.ok_or(IdentityFileError::Missing(what))
        };
        let key = next("private key", "PRIVATE KEY-----")?;
        let certificate = next("TLS certificate", "BEGIN CERTIFICATE-----")?;
        let user = UserCert::from_pem(&certificate)?;
        Ok(Self { key, certificate, user })
    }

    /// The cluster that the credentials lead to, where they say so.
    #[must_use]
    pub fn route_to_cluster(&self) -> Option<&str> {
        self.user.route_to_cluster.as_deref().filter(|cluster| !cluster.is_empty())
    }

    /// One line of JSON, as `kubectl` wants it from a credential plugin (`client.authentication.k8s.io/v1beta1`). The end
    /// is told a minute early, while there is more than a minute left.
    #[must_use]
    pub fn exec_credential(&self, clock: &Clock) -> String {
        let end = self.user.not_after;
        let left = end.duration_since(clock.now()).unwrap_or_default();
        let told = if left > MARGIN { end - MARGIN } else { end };
        let end = jiff::Timestamp::try_from(told).map(|end| end.to_string()).unwrap_or_default();
        json!({
            "kind": "ExecCredential",
            "apiVersion": "client.authentication.k8s.io/v1beta1",
            "spec": { "interactive": false },
            "status": {
                "expirationTimestamp": end,
                "clientCertificateData": self.certificate,
                "clientKeyData": self.key,
            },
        })
        .to_string()
    }
}

impl std::fmt::Debug for IdentityFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdentityFile(...)")
    }
}

/// PEM blocks as they stand, each with a newline at its end.
fn pem_blocks(text: &str) -> impl Iterator<Item = String> + '_ {
    let mut lines = text.lines().map(str::trim);
    std::iter::from_fn(move || {
        let mut block = String::new();
        for line in lines.by_ref() {
            if line.starts_with("-----BEGIN ") || !block.is_empty() {
                block.push_str(line);
                block.push('\n');
            }
            if line.starts_with("-----END ") {
                return Some(block);
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::credential::identity::SignedCerts;
    use crate::agent::credential::keys::KeyPair;
    use crate::agent::recordings::{recorded, recorded_host_authority};

    #[test]
    fn is_the_file_that_the_go_agent_wrote() {
        let certs = SignedCerts {
            tls: recorded("outputs/identity/tlscert"),
            ssh: recorded("outputs/identity/key-cert.pub"),
            tls_cas: vec![recorded("outputs/identity/teleport-user-ca.crt")],
            ssh_cas: vec![recorded("storage/sshcacerts")],
        };
        let key = KeyPair::from_pem(&recorded("outputs/identity/key")).unwrap();
        let identity = Identity::new(key, certs).unwrap();
        assert_eq!(write(&identity, &[recorded_host_authority()]), recorded("outputs/identity/identity"));
    }

    #[test]
    fn the_go_agents_file_gives_a_credential_that_ends_a_minute_early() {
        let file = IdentityFile::parse(&recorded("outputs/kube/identity")).unwrap();
        assert_eq!(file.route_to_cluster(), Some("dev.test"));
        assert_eq!(format!("{file:?}"), "IdentityFile(...)");
        let at = |time: &str| {
            let now = time.parse::<jiff::Timestamp>().unwrap().into();
            let clock = Clock::from_fn(move || now);
            serde_json::from_str::<serde_json::Value>(&file.exec_credential(&clock)).unwrap()
        };
        let expected = json!({
            "kind": "ExecCredential",
            "apiVersion": "client.authentication.k8s.io/v1beta1",
            "spec": { "interactive": false },
            "status": {
                "expirationTimestamp": "2026-11-22T15:48:14Z",
                "clientCertificateData": recorded("outputs/kube/tlscert"),
                "clientKeyData": recorded("outputs/kube/key"),
            },
        });
        assert_eq!(at("2026-11-22T15:00:00Z"), expected);
        assert_eq!(at("2026-11-22T15:48:30Z")["status"]["expirationTimestamp"], "2026-11-22T15:49:14Z");
    }

    #[test]
    fn what_is_no_identity_file_is_refused_without_a_word_of_it() {
        let (key, cert) = (recorded("outputs/kube/key"), recorded("outputs/kube/tlscert"));
        for (text, missing) in [
            ("hunter2".to_owned(), "private key"),
            (key.clone(), "TLS certificate"),
            (format!("{cert}{key}"), "private key"),
        ] {
            assert_eq!(IdentityFile::parse(&text).unwrap_err(), IdentityFileError::Missing(missing));
        }
    }
}
