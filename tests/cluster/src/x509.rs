//! Builds and signs X.509 certificates, including names with several values in one relative distinguished name (RDN).
//! Makes no access decisions.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::certificate::{Certificate, TbsCertificate, Version};
use x509_cert::crl::{CertificateList, RevokedCert, TbsCertList};
use x509_cert::der::asn1::{
    BitString, Ia5String, OctetString, PrintableStringRef, SetOfVec, Uint, Utf8StringRef,
};
use x509_cert::der::oid::{AssociatedOid, ObjectIdentifier};
use x509_cert::der::pem::LineEnding;
use x509_cert::der::{Any, DateTime, Encode, EncodePem as _};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, CrlNumber, ExtendedKeyUsage, KeyUsage, KeyUsages,
    SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::time::{Time, Validity};

use crate::clock::unix_seconds;
use crate::error::Error;
use crate::keys::{TlsKey, random};
use crate::revocations::SerialNumbers;

pub(crate) const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
pub(crate) const SERIAL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.5");
pub(crate) const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");

const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");

/// Builds a distinguished name from RDNs.
#[derive(Default)]
pub(crate) struct NameBuilder(Vec<RelativeDistinguishedName>);

impl NameBuilder {
    /// Appends one RDN with all `values`, or nothing if there are none. DER sorts the values of a set, so their order
    /// is lost, as on a real cluster.
    pub(crate) fn one_rdn<S: AsRef<str>>(
        mut self,
        oid: ObjectIdentifier,
        values: &[S],
    ) -> Result<Self, Error> {
        let mut set = SetOfVec::new();
        for value in values {
            set.insert(AttributeTypeAndValue { oid, value: directory_string(value.as_ref())? })?;
        }
        if !set.is_empty() {
            self.0.push(RelativeDistinguishedName(set));
        }
        Ok(self)
    }

    /// Appends one RDN per value, as Teleport does for its own attributes.
    pub(crate) fn rdn_per_value<S: AsRef<str>>(
        self,
        oid: ObjectIdentifier,
        values: &[S],
    ) -> Result<Self, Error> {
        values.iter().try_fold(self, |name, value| name.one_rdn(oid, std::slice::from_ref(value)))
    }

    pub(crate) fn build(self) -> Name {
        RdnSequence(self.0)
    }
}

/// Encodes a value as a PrintableString if its characters allow it and as a UTF8String otherwise, as Go does.
fn directory_string(value: &str) -> Result<Any, Error> {
    Ok(match PrintableStringRef::new(value) {
        Ok(printable) => Any::encode_from(&printable)?,
        Err(_) => Any::encode_from(&Utf8StringRef::new(value)?)?,
    })
}

/// Returns the values of the attribute `oid` in order.
pub(crate) fn attribute_values(name: &Name, oid: ObjectIdentifier) -> impl Iterator<Item = &str> {
    name.0
        .iter()
        .flat_map(|rdn| rdn.0.iter())
        .filter(move |attribute| attribute.oid == oid)
        .filter_map(|attribute| std::str::from_utf8(attribute.value.value()).ok())
}

/// The purpose of a certificate, which determines its extensions.
pub(crate) enum Profile {
    Authority,
    User,
    Server {
        dns: Vec<String>,
        addresses: Vec<IpAddr>,
    },
    /// An X.509 SVID.
    Workload {
        spiffe_id: String,
    },
}

/// The content of a certificate to be signed.
pub(crate) struct CertRequest {
    pub(crate) subject: Name,
    pub(crate) key: SubjectPublicKeyInfoOwned,
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
    pub(crate) profile: Profile,
    pub(crate) serial: [u8; 16],
}

impl CertRequest {
    /// Creates a request with a random serial number.
    pub(crate) fn new(
        subject: Name,
        key: SubjectPublicKeyInfoOwned,
        validity: (SystemTime, SystemTime),
        profile: Profile,
    ) -> Result<Self, Error> {
        let mut serial: [u8; 16] = random()?;
        // A serial number is positive and has no leading zero octet.
        serial[0] = serial[0] & 0x7f | 0x40;
        Ok(Self { subject, key, not_before: validity.0, not_after: validity.1, profile, serial })
    }
}

/// Signs `request` with `key`. `issuer` is the name of the key's owner.
pub(crate) fn sign(issuer: &Name, key: &TlsKey, request: CertRequest) -> Result<Certificate, Error> {
    let algorithm = AlgorithmIdentifierOwned { oid: ECDSA_SHA256, parameters: None };
    let extensions = extensions(&request, &key.spki()?)?;
    let tbs_certificate = TbsCertificate {
        version: Version::V3,
        serial_number: SerialNumber::new(&request.serial)?,
        signature: algorithm.clone(),
        issuer: issuer.clone(),
        validity: Validity { not_before: time(request.not_before)?, not_after: time(request.not_after)? },
        subject: request.subject,
        subject_public_key_info: request.key,
        issuer_unique_id: None,
        subject_unique_id: None,
        extensions: Some(extensions),
    };
    let signature = BitString::from_bytes(&key.sign(&tbs_certificate.to_der()?)?)?;
    Ok(Certificate { tbs_certificate, signature_algorithm: algorithm, signature })
}

/// Signs the list of revoked certificates, given by their serial numbers. It is valid for an hour.
pub(crate) fn sign_crl(
    issuer: &Name,
    key: &TlsKey,
    serials: &SerialNumbers,
    now: SystemTime,
) -> Result<CertificateList, Error> {
    let algorithm = AlgorithmIdentifierOwned { oid: ECDSA_SHA256, parameters: None };
    let this_update = time(now)?;
    let revoked = serials.iter().map(|serial| {
        let serial_number = SerialNumber::new(serial)?;
        Ok(RevokedCert { serial_number, revocation_date: this_update, crl_entry_extensions: None })
    });
    // The number of a list grows with each revocation.
    let number = CrlNumber(Uint::new(&serials.len().to_be_bytes())?);
    let tbs_cert_list = TbsCertList {
        version: Version::V2,
        signature: algorithm.clone(),
        issuer: issuer.clone(),
        this_update,
        next_update: Some(time(now + Duration::from_secs(60 * 60))?),
        revoked_certificates: Some(revoked.collect::<Result<_, Error>>()?),
        crl_extensions: Some(vec![
            extension(false, &authority_key_id(&key.spki()?)?)?,
            extension(false, &number)?,
        ]),
    };
    let signature = BitString::from_bytes(&key.sign(&tbs_cert_list.to_der()?)?)?;
    Ok(CertificateList { tbs_cert_list, signature_algorithm: algorithm, signature })
}

pub(crate) fn pem(certificate: &Certificate) -> Result<String, Error> {
    Ok(certificate.to_pem(LineEnding::LF)?)
}

fn time(time: SystemTime) -> Result<Time, Error> {
    let whole_seconds = DateTime::from_unix_duration(Duration::from_secs(unix_seconds(time)))?;
    Ok(Time::try_from(SystemTime::from(whole_seconds))?)
}

/// Returns the extensions of Teleport's own certificates, in the order of the recordings `outputs/` and `storage/`.
fn extensions(request: &CertRequest, issuer: &SubjectPublicKeyInfoOwned) -> Result<Vec<Extension>, Error> {
    let usage = KeyUsages::DigitalSignature | KeyUsages::KeyEncipherment;
    let constraints = |ca| BasicConstraints { ca, path_len_constraint: None };
    let authority = authority_key_id(issuer)?;
    let mut list = match &request.profile {
        Profile::Authority => {
            return Ok(vec![
                extension(true, &KeyUsage(usage | KeyUsages::KeyCertSign | KeyUsages::CRLSign))?,
                extension(true, &constraints(true))?,
                extension(false, &SubjectKeyIdentifier(key_id(&request.key)?))?,
            ]);
        }
        Profile::User | Profile::Server { .. } | Profile::Workload { .. } => vec![
            extension(true, &KeyUsage(usage))?,
            extension(false, &ExtendedKeyUsage(vec![SERVER_AUTH, CLIENT_AUTH]))?,
            extension(true, &constraints(false))?,
            extension(false, &authority)?,
        ],
    };
    if let Profile::Workload { spiffe_id } = &request.profile {
        let uri = GeneralName::UniformResourceIdentifier(Ia5String::new(spiffe_id)?);
        // Critical, because the subject is empty (RFC 5280, 4.2.1.6).
        list.push(extension(true, &SubjectAltName(vec![uri]))?);
    }
    if let Profile::Server { dns, addresses } = &request.profile {
        let mut names = Vec::new();
        for name in dns {
            names.push(GeneralName::DnsName(Ia5String::new(name)?));
        }
        for address in addresses {
            let octets = match address {
                IpAddr::V4(v4) => v4.octets().to_vec(),
                IpAddr::V6(v6) => v6.octets().to_vec(),
            };
            names.push(GeneralName::IpAddress(OctetString::new(octets)?));
        }
        list.push(extension(false, &SubjectAltName(names))?);
    }
    Ok(list)
}

fn authority_key_id(issuer: &SubjectPublicKeyInfoOwned) -> Result<AuthorityKeyIdentifier, Error> {
    Ok(AuthorityKeyIdentifier {
        key_identifier: Some(key_id(issuer)?),
        authority_cert_issuer: None,
        authority_cert_serial_number: None,
    })
}

fn extension<T: AssociatedOid + Encode>(critical: bool, value: &T) -> Result<Extension, Error> {
    Ok(Extension { extn_id: T::OID, critical, extn_value: OctetString::new(value.to_der()?)? })
}

/// Returns the conventional key identifier: the SHA-1 digest of the key's bits (RFC 5280, 4.2.1.2).
fn key_id(key: &SubjectPublicKeyInfoOwned) -> Result<OctetString, Error> {
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, key.subject_public_key.raw_bytes());
    Ok(OctetString::new(hash.as_ref())?)
}
