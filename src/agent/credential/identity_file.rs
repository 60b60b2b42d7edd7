//! The `identity` file: key, certificates and host CAs in one file, for `tsh -i`, `tctl -i` and tbot's own commands.

use std::time::Duration;

use serde_json::json;

use super::authority::CertAuthority;
use super::identity::{Identity, IdentityError, SignedCerts};
use super::keys::KeyPair;
use super::x509::{self, UserCert, X509Error};
use crate::agent::platform::{Clock, Hint, Rounded};

/// How long before the real expiry `kubectl` should run the credential plugin again.
const EXPIRY_MARGIN: Duration = Duration::from_secs(60);

/// Returns the content of the file: private key, SSH certificate, TLS certificate, every cluster's SSH host CAs, then
/// their TLS CAs.
pub(crate) fn render(identity: &Identity, host_cas: &[CertAuthority]) -> String {
    let mut content = String::new();
    push(&mut content, identity.key.private_pem());
    push(&mut content, &identity.certs.ssh);
    push(&mut content, &identity.certs.tls);
    for ca in host_cas {
        for key in &ca.ssh {
            let cluster = &ca.cluster;
            push(&mut content, &format!("{CERT_AUTHORITY} {cluster},*.{cluster} {key} type=host"));
        }
    }
    for certificate in host_cas.iter().flat_map(|ca| &ca.tls) {
        push(&mut content, certificate);
    }
    content
}

/// Appends a block, with a final newline.
fn push(content: &mut String, block: &str) {
    content.push_str(block);
    if !block.ends_with('\n') {
        content.push('\n');
    }
}

/// The file is not an `identity` file. The error contains no part of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityFileError {
    /// The private key or the TLS certificate is missing; they are expected in this order.
    #[error("not an identity file, because it has no {0}")]
    Missing(&'static str),
    /// The certificate cannot be used.
    #[error("not a Teleport identity file")]
    X509(#[from] X509Error),
    /// The credentials expired this long ago.
    #[error("the credentials expired {} ago", Rounded(*.0))]
    Expired(Duration),
    /// The parts of the file cannot be used together.
    #[error("not a complete identity file")]
    Identity(#[from] IdentityError),
}

impl IdentityFileError {
    /// Returns advice for the operator.
    #[must_use]
    pub fn hint(&self) -> Hint {
        Hint::new(match self {
            Self::Expired(_) => "check that the tbot that writes this directory is running, and read its log",
            Self::Missing(_) | Self::X509(_) | Self::Identity(_) => {
                "use the file `identity` of an output that tbot has written"
            }
        })
    }
}

/// The credentials of an `identity` file. `Debug` omits them.
pub struct IdentityFile {
    key: String,
    certificate: String,
    user: UserCert,
    ssh: String,
    tls_cas: Vec<String>,
    ssh_cas: Vec<String>,
}

/// The first word of a line with a CA.
const CERT_AUTHORITY: &str = "@cert-authority";
/// The end of the first word of a line with a certificate.
const SSH_CERTIFICATE: &str = "-cert-v01@openssh.com";

impl IdentityFile {
    /// Parses an `identity` file: the first PEM block is the key, the second the TLS certificate.
    ///
    /// # Errors
    ///
    /// Returns an error if one of the two is missing, or if the certificate was not issued by Teleport.
    pub fn parse(content: &str) -> Result<Self, IdentityFileError> {
        let mut blocks = pem_blocks(content);
        let mut next = |what, label: &str| {
            let block =
                blocks.next().filter(|block| block.lines().next().is_some_and(|line| line.contains(label)));
            block.ok_or(IdentityFileError::Missing(what))
        };
        let key = next("private key", "PRIVATE KEY-----")?;
        let certificate = next("TLS certificate", "BEGIN CERTIFICATE-----")?;
        let user = UserCert::from_pem(&certificate)?;
        let tls_cas = blocks.collect();
        let (mut ssh, mut ssh_cas) = (String::new(), Vec::new());
        for line in content.lines().map(str::trim) {
            match line.split_whitespace().next() {
                Some(CERT_AUTHORITY) => ssh_cas.push(line.to_owned()),
                Some(word) if word.ends_with(SSH_CERTIFICATE) => line.clone_into(&mut ssh),
                _ => {}
            }
        }
        Ok(Self { key, certificate, user, ssh, tls_cas, ssh_cas })
    }

    /// Returns the identity, which trusts only the CAs of the root cluster: those of leaf clusters do not certify its servers.
    pub(crate) fn into_identity(self) -> Result<Identity, IdentityFileError> {
        let mut tls_cas = self.tls_cas;
        tls_cas.retain(|ca| x509::subject_common_name(ca).as_deref() == Some(&*self.user.cluster));
        let certs = SignedCerts { tls: self.certificate, ssh: self.ssh, tls_cas, ssh_cas: self.ssh_cas };
        let key = KeyPair::from_pem(&self.key).map_err(IdentityError::from)?;
        Ok(Identity::new(key, certs)?)
    }

    /// Returns the name of the cluster that the credentials route to, if they contain one.
    #[must_use]
    pub fn route_to_cluster(&self) -> Option<&str> {
        self.user.route_to_cluster.as_deref().filter(|cluster| !cluster.is_empty())
    }

    /// Returns the `ExecCredential` that `kubectl` expects from a credential plugin, as one line of JSON
    /// (`client.authentication.k8s.io/v1beta1`). The expiry is stated one minute early, unless less than a minute is
    /// left.
    ///
    /// # Errors
    ///
    /// Returns an error if the credentials have expired. `kubectl` shows it; the server would only say `Unauthorized`.
    pub fn exec_credential(&self, clock: &Clock) -> Result<String, IdentityFileError> {
        let not_after = self.user.not_after;
        let left = not_after
            .duration_since(clock.now())
            .map_err(|error| IdentityFileError::Expired(error.duration()))?;
        let expiry = if left > EXPIRY_MARGIN { not_after - EXPIRY_MARGIN } else { not_after };
        let expiry = jiff::Timestamp::try_from(expiry).map(|expiry| expiry.to_string()).unwrap_or_default();
        let credential = json!({
            "kind": "ExecCredential",
            "apiVersion": "client.authentication.k8s.io/v1beta1",
            "spec": { "interactive": false },
            "status": {
                "expirationTimestamp": expiry,
                "clientCertificateData": self.certificate,
                "clientKeyData": self.key,
            },
        });
        Ok(credential.to_string())
    }
}

impl std::fmt::Debug for IdentityFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdentityFile(...)")
    }
}

/// Returns the PEM blocks in `content`, each with a final newline.
fn pem_blocks(content: &str) -> impl Iterator<Item = String> + '_ {
    let mut lines = content.lines().map(str::trim);
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
    fn the_file_matches_the_recording() {
        let certs = SignedCerts {
            tls: recorded("outputs/identity/tlscert"),
            ssh: recorded("outputs/identity/key-cert.pub"),
            tls_cas: vec![recorded("outputs/identity/teleport-user-ca.crt")],
            ssh_cas: vec![recorded("storage/sshcacerts")],
        };
        let key = KeyPair::from_pem(&recorded("outputs/identity/key")).unwrap();
        let identity = Identity::new(key, certs).unwrap();
        assert_eq!(render(&identity, &[recorded_host_authority()]), recorded("outputs/identity/identity"));
    }

    #[test]
    fn the_exec_credential_of_a_recorded_file_expires_a_minute_early() {
        let file = IdentityFile::parse(&recorded("outputs/kube/identity")).unwrap();
        assert_eq!(file.route_to_cluster(), Some("dev.test"));
        assert_eq!(format!("{file:?}"), "IdentityFile(...)");
        let credential = |time: &str| {
            let now = time.parse::<jiff::Timestamp>().unwrap().into();
            file.exec_credential(&Clock::from_fn(move || now))
        };
        let at = |time: &str| serde_json::from_str::<serde_json::Value>(&credential(time).unwrap()).unwrap();
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
        let expired = IdentityFileError::Expired(Duration::from_secs(60));
        assert_eq!(credential("2026-11-22T15:50:14Z"), Err(expired));
    }

    #[test]
    fn an_identity_trusts_the_root_cluster_alone() {
        let identity = |content: &str| IdentityFile::parse(content).unwrap().into_identity();
        let content = recorded("outputs/identity/identity");
        let own = identity(&content).unwrap();
        assert_eq!((&**own.cluster(), own.certs.tls_cas.len(), own.certs.ssh_cas.len()), ("dev.test", 1, 1));
        // The CA of another cluster.
        let other = rcgen::CertificateParams::new([]).unwrap();
        let other = other.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem();
        assert_eq!(identity(&format!("{content}{other}")).unwrap().certs.tls_cas, own.certs.tls_cas);

        let (key, cas) = (recorded("outputs/kube/key"), content.find("@cert-authority").unwrap());
        let other_key = content.replace(&recorded("outputs/identity/key"), &key);
        for (content, reason) in [
            (&content[..cas], IdentityError::NoAuthority("TLS")),
            (&other_key, IdentityError::OtherKey("TLS")),
        ] {
            assert_eq!(identity(content).unwrap_err(), IdentityFileError::Identity(reason));
        }
    }

    #[test]
    fn an_error_names_the_part_that_is_missing() {
        let (key, cert) = (recorded("outputs/kube/key"), recorded("outputs/kube/tlscert"));
        for (content, missing) in [
            ("hunter2".to_owned(), "private key"),
            (key.clone(), "TLS certificate"),
            (format!("{cert}{key}"), "private key"),
        ] {
            assert_eq!(IdentityFile::parse(&content).unwrap_err(), IdentityFileError::Missing(missing));
        }
    }
}
