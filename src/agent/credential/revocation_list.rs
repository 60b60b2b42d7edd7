//! Checks and encodes the list of revoked X.509 SVIDs, an X.509 CRL.

use x509_parser::prelude::{CertificateRevocationList, FromDer as _};

use super::pem::pem_encode;

/// What the cluster says about revoked X.509 SVIDs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum RevocationList {
    /// The cluster has not answered yet.
    #[default]
    Pending,
    /// The cluster could not be asked.
    Unavailable,
    /// The cluster has no list.
    Absent,
    /// The list, in PEM.
    Pem(String),
}

/// The bytes are not an X.509 CRL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotACrl;

impl RevocationList {
    /// Parses a CRL in DER. No bytes mean that the cluster has no list.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, NotACrl> {
        if der.is_empty() {
            return Ok(Self::Absent);
        }
        match CertificateRevocationList::from_der(der) {
            Ok(([], _)) => Ok(Self::Pem(pem_encode("X509 CRL", der))),
            _ => Err(NotACrl),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_crl_and_an_empty_response_are_accepted() {
        assert_eq!(RevocationList::from_der(&[]), Ok(RevocationList::Absent));
        assert_eq!(RevocationList::from_der(b"garbage"), Err(NotACrl));
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        assert_eq!(RevocationList::from_der(certificate.der()), Err(NotACrl));
    }
}
