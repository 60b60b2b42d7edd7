//! Parses certificates into a form for comparing them with recorded ones: without keys, serial numbers, times and
//! random logins.

use ssh_key::Certificate as SshCertificate;
use x509_cert::Certificate;
use x509_cert::der::{DecodePem as _, Encode as _, Tagged as _};
use x509_cert::name::Name;

use tbot_cluster::proto::Certs;

/// A name as a list of RDNs, each a set of (attribute, string type, value).
type Rdns = Vec<Vec<(String, String, String)>>;

#[derive(Debug, PartialEq)]
pub(crate) struct X509 {
    issuer: Rdns,
    subject: Rdns,
    /// Object identifier, criticality, and the value unless it identifies a key.
    extensions: Vec<(String, bool, Option<Vec<u8>>)>,
    /// The validity.
    pub(crate) seconds: u64,
}

/// The extensions that identify a key.
const KEY_IDENTIFIERS: [&str; 2] = ["2.5.29.14", "2.5.29.35"];

pub(crate) fn parse(pem: &[u8]) -> Certificate {
    Certificate::from_pem(pem).unwrap()
}

pub(crate) fn x509(pem: &[u8]) -> X509 {
    let tbs = parse(pem).tbs_certificate;
    let extension = |extension: &x509_cert::ext::Extension| {
        let id = extension.extn_id.to_string();
        let value =
            (!KEY_IDENTIFIERS.contains(&id.as_str())).then(|| extension.extn_value.as_bytes().to_vec());
        (id, extension.critical, value)
    };
    let validity = &tbs.validity;
    X509 {
        issuer: rdns(&tbs.issuer),
        subject: rdns(&tbs.subject),
        extensions: tbs.extensions.iter().flatten().map(extension).collect(),
        seconds: (validity.not_after.to_unix_duration() - validity.not_before.to_unix_duration()).as_secs(),
    }
}

fn rdns(name: &Name) -> Rdns {
    let attribute = |attribute: &x509_cert::attr::AttributeTypeAndValue| {
        let value = String::from_utf8(attribute.value.value().to_vec()).unwrap();
        let value =
            if attribute.oid.to_string() == "2.5.4.5" { "<serial>".to_owned() } else { redact_login(&value) };
        (attribute.oid.to_string(), attribute.value.tag().to_string(), value)
    };
    name.0.iter().map(|rdn| rdn.0.iter().map(attribute).collect()).collect()
}

/// Replaces the random part of a login that does not exist.
fn redact_login(value: &str) -> String {
    match value.strip_prefix("-teleport-nologin-") {
        Some(uuid) if uuid.len() == 36 => "-teleport-nologin-<uuid>".to_owned(),
        _ => value.to_owned(),
    }
}

#[derive(Debug, PartialEq)]
pub(crate) struct Ssh {
    algorithm: String,
    kind: String,
    key_id: String,
    serial: u64,
    principals: Vec<String>,
    critical: Vec<(String, String)>,
    extensions: Vec<(String, String)>,
    seconds: u64,
}

pub(crate) fn ssh(line: &[u8]) -> Ssh {
    let line = std::str::from_utf8(line).unwrap();
    assert!(
        line.ends_with('\n') && line.matches(' ').count() == 1,
        "must be one line without a comment: {line:?}"
    );
    let certificate = SshCertificate::from_openssh(line.trim()).unwrap();
    let options = |map: &ssh_key::certificate::OptionsMap| {
        map.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    Ssh {
        algorithm: certificate.algorithm().to_certificate_type(),
        kind: format!("{:?}", certificate.cert_type()),
        key_id: certificate.key_id().to_owned(),
        serial: certificate.serial(),
        principals: certificate.valid_principals().iter().map(|principal| redact_login(principal)).collect(),
        critical: options(certificate.critical_options()),
        extensions: options(certificate.extensions()),
        seconds: certificate.valid_before() - certificate.valid_after(),
    }
}

/// Returns the authorities in a response, each with a flag that says whether it issued the response's X.509 certificate.
pub(crate) fn authorities(certs: &Certs) -> Vec<(bool, X509)> {
    let issuer = parse(&certs.tls).tbs_certificate.issuer.to_der().unwrap();
    let one = |pem: &Vec<u8>| {
        let subject = parse(pem).tbs_certificate.subject.to_der().unwrap();
        (subject == issuer, x509(pem))
    };
    certs.tls_ca_certs.iter().map(one).collect()
}

/// Returns, for each SSH authority in a response, whether it signed the response's SSH certificate.
pub(crate) fn ssh_signers(certs: &Certs) -> Vec<bool> {
    let line = std::str::from_utf8(&certs.ssh).unwrap();
    let certificate = SshCertificate::from_openssh(line.trim()).unwrap();
    let one = |line: &Vec<u8>| {
        let line = std::str::from_utf8(line).unwrap();
        ssh_key::PublicKey::from_openssh(line.trim()).unwrap().key_data() == certificate.signature_key()
    };
    certs.ssh_ca_certs.iter().map(one).collect()
}
