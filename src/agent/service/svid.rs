//! Checks the credentials that the server issued for a workload before they are written: X.509 certificates here, JWTs
//! in `jwt`.
//!
//! Does not verify that a certificate chains to the cluster's own CA, because an external CA may have issued it, whose
//! root only the programs that verify the certificate know.

mod jwt;

use std::time::{Duration, SystemTime};

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::X509Certificate;

use crate::agent::credential::keys::KeyPair;
use crate::agent::credential::pem::pem_encode;
use crate::agent::credential::x509::{self, X509Error};
use crate::agent::platform::Hint;
use crate::agent::teleport::messages::Credential;
pub(crate) use jwt::JwtSvid;

/// The accepted difference between the clocks of this machine and the server.
const CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);

/// A credential for a workload cannot be used. The error never contains a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SvidError {
    /// The response does not contain the requested type of credential.
    #[error("the response contains no {0}")]
    Missing(&'static str),
    /// A certificate cannot be parsed.
    #[error(transparent)]
    X509(#[from] X509Error),
    /// A token cannot be parsed.
    #[error("the token {0}")]
    Token(&'static str),
    /// The certificate is not for the requested key.
    #[error("the certificate is for another key than requested")]
    OtherKey,
    /// The credential's SPIFFE ID is missing, or is not the one in the response.
    #[error("its SPIFFE ID is missing or differs from the response")]
    OtherId,
    /// The token is not for a requested audience.
    #[error("the token is not for the audience \"{0}\"")]
    OtherAudience(String),
    /// The credential has expired.
    #[error("it has expired already")]
    Expired,
    /// The credential is not valid yet.
    #[error("it is not valid yet")]
    NotYetValid,
}

impl SvidError {
    /// Returns advice for the operator, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        matches!(self, Self::Expired | Self::NotYetValid)
            .then(|| Hint::new("check the clocks of this machine and the auth server"))
    }
}

/// A certificate and its chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct X509Svid {
    /// The leaf, then the chain, in PEM.
    pub(crate) certificates: String,
    pub(crate) not_after: SystemTime,
}

impl X509Svid {
    /// Checks the certificate that was issued for `key`.
    pub(crate) fn new(credential: Credential, key: &KeyPair, now: SystemTime) -> Result<Self, SvidError> {
        let Credential { spiffe_id, x509_svid, .. } = credential;
        let svid = x509_svid.ok_or(SvidError::Missing("certificate"))?;
        let leaf = x509::certificate(&svid.cert)?;
        if leaf.public_key().raw != key.spki_der() {
            return Err(SvidError::OtherKey);
        }
        if !is_spiffe_id(&spiffe_id) || uris(&leaf) != [spiffe_id.as_str()] {
            return Err(SvidError::OtherId);
        }
        let not_after = x509::time(leaf.validity().not_after.timestamp())?;
        check_validity(x509::time(leaf.validity().not_before.timestamp())?, not_after, now)?;
        let mut certificates = pem_encode("CERTIFICATE", &svid.cert);
        for der in &svid.chain {
            x509::certificate(der)?;
            certificates.push_str(&pem_encode("CERTIFICATE", der));
        }
        Ok(Self { certificates, not_after })
    }
}

/// Returns true if the ID has a trust domain: `spiffe://<trust domain>/<path>`. The server enforces all other rules.
fn is_spiffe_id(id: &str) -> bool {
    id.strip_prefix("spiffe://").is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
}

/// Returns the URIs in the subject alternative name of a certificate. An SVID has exactly one.
fn uris<'a>(certificate: &'a X509Certificate<'_>) -> Vec<&'a str> {
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.into_iter().flat_map(|extension| &extension.value.general_names);
    names
        .filter_map(|name| match name {
            GeneralName::URI(uri) => Some(*uri),
            _ => None,
        })
        .collect()
}

fn check_validity(not_before: SystemTime, not_after: SystemTime, now: SystemTime) -> Result<(), SvidError> {
    if not_after <= now {
        Err(SvidError::Expired)
    } else if not_before > now + CLOCK_SKEW {
        Err(SvidError::NotYetValid)
    } else {
        Ok(())
    }
}

/// Sample credentials, for tests.
#[cfg(test)]
pub(crate) mod sample {
    use rcgen::{CertificateParams, SanType};

    use super::*;
    use crate::agent::teleport::messages::X509SvidCredential;

    pub(crate) const ID: &str = "spiffe://dev.test/svc/web";

    /// Returns a certificate for a new key, valid from 1975 to 4096.
    pub(crate) fn x509(uris: &[&str]) -> (KeyPair, Credential) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
        let cert = params.self_signed(&key).unwrap().der().to_vec();
        let svid = X509SvidCredential { chain: vec![cert.clone()], cert };
        let credential =
            Credential { spiffe_id: ID.to_owned(), x509_svid: Some(svid), ..Credential::default() };
        (KeyPair::from_pem(&key.serialize_pem()).unwrap(), credential)
    }
}

#[cfg(test)]
mod tests {
    use super::sample::{ID, x509};
    use super::*;

    fn at(year: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs((year - 1970) * 31_556_952)
    }

    #[test]
    fn a_valid_certificate_is_encoded_with_its_chain() {
        let (key, credential) = x509(&[ID]);
        let svid = X509Svid::new(credential, &key, at(2026)).unwrap();
        assert_eq!(svid.certificates.matches("-----BEGIN CERTIFICATE-----\n").count(), 2);
        assert!(svid.not_after > at(4095) && svid.not_after < at(4097));
    }

    #[test]
    fn invalid_certificates_are_refused() {
        let (key, credential) = x509(&[ID]);
        let other = KeyPair::generate().unwrap();
        let check = |credential: &Credential, key: &KeyPair, now| X509Svid::new(credential.clone(), key, now);
        assert_eq!(check(&credential, &other, at(2026)), Err(SvidError::OtherKey));
        assert_eq!(check(&credential, &key, at(1974)), Err(SvidError::NotYetValid));
        assert_eq!(check(&credential, &key, at(5000)), Err(SvidError::Expired));
        assert_eq!(check(&Credential::default(), &key, at(2026)), Err(SvidError::Missing("certificate")));
        let other = Credential { spiffe_id: format!("{ID}/x"), ..credential.clone() };
        assert_eq!(check(&other, &key, at(2026)), Err(SvidError::OtherId));
        for uris in [&[][..], &[ID, ID], &["https://dev.test/svc/web"]] {
            let (key, mut credential) = x509(uris);
            if let [uri] = uris {
                (*uri).clone_into(&mut credential.spiffe_id);
            }
            assert_eq!(check(&credential, &key, at(2026)), Err(SvidError::OtherId), "{uris:?}");
        }
        let mut trailing_byte = credential;
        trailing_byte.x509_svid.as_mut().unwrap().cert.push(0);
        assert_eq!(check(&trailing_byte, &key, at(2026)), Err(X509Error::NotX509.into()));
    }
}
