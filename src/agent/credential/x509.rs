//! Reads the properties of Teleport's X.509 certificates that the agent needs.
//!
//! Teleport stores a user's attributes in the subject: roles in O, the user name in CN, and custom attributes under
//! `1.3.9999`. Of the custom ones, the agent reads the renewable flag (`1.13`), the generation (`1.14`), and whether
//! reissuing is disallowed (`2.9`).

use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::x509::X509Name;

use super::cluster_name::{ClusterName, ClusterNameError};

const RENEWABLE: &str = "1.3.9999.1.13";
const GENERATION: &str = "1.3.9999.1.14";
const DISALLOW_REISSUE: &str = "1.3.9999.2.9";
/// The `street` attribute: the cluster that the certificate routes to.
const ROUTE_TO_CLUSTER: &str = "2.5.4.9";

/// A certificate cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum X509Error {
    /// The number of PEM blocks of type `CERTIFICATE` is not one.
    #[error("expected one certificate in PEM, found {0}")]
    Count(usize),
    /// The DER is not an X.509 certificate.
    #[error("not an X.509 certificate")]
    NotX509,
    /// The user's name (CN of the subject) or the cluster's name (O of the issuer) is missing.
    #[error("the certificate has no {0}: it was not issued by a Teleport cluster")]
    Missing(&'static str),
    /// The cluster that issued the certificate has a name that the agent does not write to files.
    #[error("the certificate was issued by a cluster with an invalid name")]
    ClusterName(#[from] ClusterNameError),
}

/// A user certificate and its attributes.
#[derive(Clone, Debug)]
pub(crate) struct UserCert {
    pub(crate) der: CertificateDer<'static>,
    /// The CN of the subject, `bot-<name>`.
    pub(crate) username: String,
    /// The O of the issuer: the name of the cluster that issued the certificate.
    pub(crate) cluster: ClusterName,
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
    pub(crate) spki_der: Vec<u8>,
    /// True for the join method `token`: the certificate is renewed with `GenerateUserCerts` instead of by joining
    /// again.
    pub(crate) renewable: bool,
    pub(crate) generation: Option<u64>,
    /// True for certificates that impersonate roles, unless reissuing was requested.
    pub(crate) disallows_reissue: bool,
    /// The cluster that the certificate routes to: a leaf cluster, or the one that issued it.
    pub(crate) route_to_cluster: Option<String>,
}

impl UserCert {
    pub(crate) fn from_pem(pem: &str) -> Result<Self, X509Error> {
        let all = certificates(pem)?;
        let [der] = all.as_slice() else { return Err(X509Error::Count(all.len())) };
        let (_, cert) = X509Certificate::from_der(der).map_err(|_| X509Error::NotX509)?;
        Ok(Self {
            username: common_name(cert.subject()).ok_or(X509Error::Missing("CN in its subject"))?,
            cluster: organization(cert.issuer()).ok_or(X509Error::Missing("O in its issuer"))?.parse()?,
            not_before: time(cert.validity().not_before.timestamp())?,
            not_after: time(cert.validity().not_after.timestamp())?,
            spki_der: cert.public_key().raw.to_vec(),
            renewable: attribute(cert.subject(), RENEWABLE).as_deref() == Some("true"),
            generation: attribute(cert.subject(), GENERATION).and_then(|value| value.parse().ok()),
            disallows_reissue: attribute(cert.subject(), DISALLOW_REISSUE).as_deref() == Some("true"),
            route_to_cluster: attribute(cert.subject(), ROUTE_TO_CLUSTER),
            der: der.clone(),
        })
    }
}

/// Parses one certificate in DER, which must not have trailing data.
pub(crate) fn certificate(der: &[u8]) -> Result<X509Certificate<'_>, X509Error> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(X509Error::NotX509),
    }
}

/// Converts a certificate's timestamp, in seconds since the epoch.
pub(crate) fn time(seconds: i64) -> Result<SystemTime, X509Error> {
    let seconds = u64::try_from(seconds).map_err(|_| X509Error::NotX509)?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).ok_or(X509Error::NotX509)
}

/// Returns the certificates in a PEM string, in order.
pub(crate) fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, X509Error> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().map_err(|_| X509Error::NotX509)
}

/// Returns the common name of the first certificate in a PEM string.
pub(crate) fn subject_common_name(pem: &str) -> Option<String> {
    let all = certificates(pem).ok()?;
    let (_, cert) = X509Certificate::from_der(all.first()?).ok()?;
    common_name(cert.subject())
}

fn common_name(name: &X509Name<'_>) -> Option<String> {
    let value = name.iter_common_name().next()?.as_str().ok()?;
    (!value.is_empty()).then(|| value.to_owned())
}

/// Returns the organization (O) in a name, if it is not empty.
pub(crate) fn organization(name: &X509Name<'_>) -> Option<String> {
    let value = name.iter_organization().next()?.as_str().ok()?;
    (!value.is_empty()).then(|| value.to_owned())
}

fn attribute(name: &X509Name<'_>, id: &str) -> Option<String> {
    let attribute = name.iter_attributes().find(|attribute| attribute.attr_type().to_id_string() == id)?;
    attribute.as_str().ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::recordings::recorded;

    #[test]
    fn a_recorded_bot_certificate_is_read() {
        let cert = UserCert::from_pem(&recorded("storage/tlscert")).unwrap();
        assert_eq!(cert.username, "bot-robot3");
        assert_eq!(&*cert.cluster, "dev.test");
        assert!(cert.renewable);
        assert_eq!(cert.generation, Some(2));
        assert!(!cert.disallows_reissue);
        assert_eq!(cert.route_to_cluster.as_deref(), Some("dev.test"));
    }

    #[test]
    fn an_output_certificate_is_not_renewable() {
        let cert = UserCert::from_pem(&recorded("outputs/identity/tlscert")).unwrap();
        assert!(!cert.renewable);
        assert_eq!(cert.generation, None);
        assert!(cert.disallows_reissue);
    }

    #[test]
    fn anything_but_one_certificate_is_refused() {
        assert_eq!(UserCert::from_pem("").unwrap_err(), X509Error::Count(0));
        let two = recorded("storage/tlscert").repeat(2);
        assert_eq!(UserCert::from_pem(&two).unwrap_err(), X509Error::Count(2));
    }
}
