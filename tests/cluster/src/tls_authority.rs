//! An X.509 certificate authority: a self-signed certificate and its key.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_cert::certificate::Certificate;
use x509_cert::crl::CertificateList;
use x509_cert::der::Encode as _;
use x509_cert::name::Name;

use crate::error::Error;
use crate::keys::{TlsKey, hex};
use crate::revocations::SerialNumbers;
use crate::x509::{self, COMMON_NAME, CertRequest, NameBuilder, ORGANIZATION, Profile, SERIAL_NUMBER};

/// Certificates become valid a minute before they are issued, so that clients whose clock is slightly behind accept
/// them.
pub(crate) const BACKDATE: Duration = Duration::from_secs(60);
/// The validity of certificates of authorities and servers: long enough that no test has to renew them.
const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// The X.509 half of a certificate authority.
pub(crate) struct TlsAuthority {
    name: Name,
    key: TlsKey,
    der: CertificateDer<'static>,
    pem: String,
}

impl TlsAuthority {
    /// Generates one of a cluster's authorities. They differ only in their serial number, which is part of the name.
    pub(crate) fn for_cluster(cluster: &str, now: SystemTime) -> Result<Self, Error> {
        Self::generate(now, |serial| {
            Ok(NameBuilder::default()
                .one_rdn(ORGANIZATION, &[cluster])?
                .one_rdn(COMMON_NAME, &[cluster])?
                .one_rdn(SERIAL_NUMBER, &[u128::from_be_bytes(serial).to_string()])?
                .build())
        })
    }

    /// Generates an authority that does not belong to Teleport.
    pub(crate) fn external(common_name: &str, now: SystemTime) -> Result<Self, Error> {
        Self::generate(now, |_| name(common_name))
    }

    fn generate(now: SystemTime, name: impl FnOnce([u8; 16]) -> Result<Name, Error>) -> Result<Self, Error> {
        let key = TlsKey::generate()?;
        let validity = (now, now + TEN_YEARS);
        let mut request = CertRequest::new(Name::default(), key.spki()?, validity, Profile::Authority)?;
        let name = name(request.serial)?;
        request.subject = name.clone();
        let certificate = x509::sign(&name, &key, request)?;
        Ok(Self { name, key, der: certificate.to_der()?.into(), pem: x509::pem(&certificate)? })
    }

    /// Returns the PEM certificate.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.der.clone()
    }

    /// Returns the hash of the public key by which clients recognise the authority, as `tctl status` prints it.
    pub(crate) fn pin(&self) -> Result<String, Error> {
        let hash = digest::digest(&digest::SHA256, &self.key.spki()?.to_der()?);
        Ok(format!("sha256:{}", hex(hash.as_ref())))
    }

    /// Returns the public key as an uncompressed point.
    pub(crate) fn public_point(&self) -> Result<Vec<u8>, Error> {
        Ok(self.key.spki()?.subject_public_key.raw_bytes().to_vec())
    }

    pub(crate) fn sign(&self, request: CertRequest) -> Result<Certificate, Error> {
        x509::sign(&self.name, &self.key, request)
    }

    /// Signs the list of revoked certificates, given by their serial numbers.
    pub(crate) fn sign_crl(
        &self,
        serials: &SerialNumbers,
        now: SystemTime,
    ) -> Result<CertificateList, Error> {
        x509::sign_crl(&self.name, &self.key, serials, now)
    }

    /// Generates a TLS server's key and certificate.
    pub(crate) fn server(
        &self,
        now: SystemTime,
        dns: Vec<String>,
        addresses: Vec<IpAddr>,
    ) -> Result<ServerKey, Error> {
        let key = TlsKey::generate()?;
        let subject = name(dns.first().map_or("localhost", String::as_str))?;
        let profile = Profile::Server { dns, addresses };
        let request = CertRequest::new(subject, key.spki()?, (now - BACKDATE, now + TEN_YEARS), profile)?;
        let certificate = self.sign(request)?.to_der()?.into();
        Ok(ServerKey { certificate, key: PrivatePkcs8KeyDer::from(key.pkcs8()?).into() })
    }

    /// Has the key of this authority certified by `root` under the name `common_name`.
    pub(crate) fn cross_sign(
        &self,
        root: &Self,
        common_name: &str,
        now: SystemTime,
    ) -> Result<CrossSigned, Error> {
        let name = name(common_name)?;
        let validity = (now, now + TEN_YEARS);
        let request = CertRequest::new(name.clone(), self.key.spki()?, validity, Profile::Authority)?;
        Ok(CrossSigned { name, der: root.sign(request)?.to_der()?.into() })
    }

    /// Signs under the name of `issuer` instead of the name of this authority.
    pub(crate) fn sign_as(&self, issuer: &CrossSigned, request: CertRequest) -> Result<Certificate, Error> {
        x509::sign(&issuer.name, &self.key, request)
    }
}

/// A certificate and name that another root has given to an authority's key.
pub(crate) struct CrossSigned {
    name: Name,
    pub(crate) der: CertificateDer<'static>,
}

/// The key and certificate of a TLS server.
pub(crate) struct ServerKey {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) key: PrivateKeyDer<'static>,
}

fn name(common_name: &str) -> Result<Name, Error> {
    Ok(NameBuilder::default().one_rdn(COMMON_NAME, &[common_name])?.build())
}
