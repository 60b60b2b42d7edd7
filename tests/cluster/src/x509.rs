//! X.509: names with several values in one relative name, extensions, signing. Depends on the DER types and
//! [`crate::keys`]; knows certificates, not who may have one.

use std::net::IpAddr;
use std::time::SystemTime;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::certificate::{Certificate, TbsCertificate, Version};
use x509_cert::der::asn1::{BitString, Ia5String, OctetString, PrintableStringRef, SetOfVec, Utf8StringRef};
use x509_cert::der::oid::{AssociatedOid, ObjectIdentifier};
use x509_cert::der::pem::LineEnding;
use x509_cert::der::{Any, DateTime, Encode, EncodePem as _};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName,
    SubjectKeyIdentifier,
};
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::time::{Time, Validity};

use crate::clock::unix_seconds;
use crate::error::Error;
use crate::keys::{TlsKey, random};

const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");

/// Builds a name, one relative name a call.
#[derive(Default)]
pub(crate) struct NameBuilder(Vec<RelativeDistinguishedName>);

impl NameBuilder {
    /// One relative name that holds every value; nothing when there are none. DER sorts the values of a set, so their
    /// order is lost, as it is on a real cluster.
    pub(crate) fn all<S: AsRef<str>>(mut self, oid: ObjectIdentifier, values: &[S]) -> Result<Self, Error> {
        let mut set = SetOfVec::new();
        for value in values {
            set.insert(AttributeTypeAndValue { oid, value: directory_string(value.as_ref())? })?;
        }
        if !set.is_empty() {
            self.0.push(RelativeDistinguishedName(set));
        }
        Ok(self)
    }

    /// One relative name a value: how Teleport writes the attributes of its own.
    pub(crate) fn each<S: AsRef<str>>(self, oid: ObjectIdentifier, values: &[S]) -> Result<Self, Error> {
        values.iter().try_fold(self, |name, value| name.all(oid, std::slice::from_ref(value)))
    }

    pub(crate) fn build(self) -> Name {
        RdnSequence(self.0)
    }
}

/// PrintableString where the characters allow it, UTF8String otherwise: what Go writes, and so what clients have seen.
fn directory_string(value: &str) -> Result<Any, Error> {
    Ok(match PrintableStringRef::new(value) {
        Ok(printable) => Any::encode_from(&printable)?,
        Err(_) => Any::encode_from(&Utf8StringRef::new(value)?)?,
    })
}

/// Every value of an attribute of a name, in the name's order.
pub(crate) fn values(name: &Name, oid: ObjectIdentifier) -> impl Iterator<Item = &str> {
    name.0
        .iter()
        .flat_map(|rdn| rdn.0.iter())
        .filter(move |attribute| attribute.oid == oid)
        .filter_map(|attribute| std::str::from_utf8(attribute.value.value()).ok())
}

/// What a certificate is for, which decides its extensions.
pub(crate) enum Profile {
    Authority,
    User,
    Server {
        dns: Vec<String>,
        addresses: Vec<IpAddr>,
    },
    /// An X.509 SVID.
    Workload {
        id: String,
    },
}

/// Everything that a certificate says, before anybody signs it.
pub(crate) struct Request {
    pub(crate) subject: Name,
    pub(crate) key: SubjectPublicKeyInfoOwned,
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
    pub(crate) profile: Profile,
    pub(crate) serial: [u8; 16],
}

impl Request {
    /// With a random serial number.
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

/// Signs `request` in the name of `issuer`.
pub(crate) fn sign(issuer: &Name, key: &TlsKey, request: Request) -> Result<Certificate, Error> {
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

pub(crate) fn pem(certificate: &Certificate) -> Result<String, Error> {
    Ok(certificate.to_pem(LineEnding::LF)?)
}

fn time(time: SystemTime) -> Result<Time, Error> {
    let at = DateTime::from_unix_duration(std::time::Duration::from_secs(unix_seconds(time)))?;
    Ok(Time::try_from(SystemTime::from(at))?)
}

/// The extensions of Teleport's own certificates, in their order (recorded, outputs/ and storage/).
fn extensions(request: &Request, issuer: &SubjectPublicKeyInfoOwned) -> Result<Vec<Extension>, Error> {
    let usage = KeyUsages::DigitalSignature | KeyUsages::KeyEncipherment;
    let constraints = |ca| BasicConstraints { ca, path_len_constraint: None };
    let authority = AuthorityKeyIdentifier {
        key_identifier: Some(key_id(issuer)?),
        authority_cert_issuer: None,
        authority_cert_serial_number: None,
    };
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
    if let Profile::Workload { id } = &request.profile {
        let id = GeneralName::UniformResourceIdentifier(Ia5String::new(id)?);
        // Nothing else says whose it is: it has no subject.
        list.push(extension(true, &SubjectAltName(vec![id]))?);
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

fn extension<T: AssociatedOid + Encode>(critical: bool, value: &T) -> Result<Extension, Error> {
    Ok(Extension { extn_id: T::OID, critical, extn_value: OctetString::new(value.to_der()?)? })
}

/// SHA-1 of the key's bits: not a signature, only the conventional name of a key (RFC 5280, 4.2.1.2).
fn key_id(key: &SubjectPublicKeyInfoOwned) -> Result<OctetString, Error> {
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, key.subject_public_key.raw_bytes());
    Ok(OctetString::new(hash.as_ref())?)
}
