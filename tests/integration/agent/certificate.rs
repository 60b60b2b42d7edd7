//! Reads the certificates that the agent wrote.

use std::path::Path;

use x509_parser::certificate::X509Certificate;

use super::fixture::read;

/// Object identifiers of the subject attributes that Teleport defines.
pub(super) mod attribute {
    pub(crate) const KUBERNETES_CLUSTER: &str = "1.3.9999.1.3";
    pub(crate) const APP_SESSION_ID: &str = "1.3.9999.1.4";
    pub(crate) const APP_PUBLIC_ADDR: &str = "1.3.9999.1.6";
    pub(crate) const APP_NAME: &str = "1.3.9999.1.10";
    pub(crate) const RENEWABLE: &str = "1.3.9999.1.13";
    pub(crate) const GENERATION: &str = "1.3.9999.1.14";
    pub(crate) const DATABASE_SERVICE: &str = "1.3.9999.2.1";
    pub(crate) const DATABASE_PROTOCOL: &str = "1.3.9999.2.2";
    pub(crate) const DATABASE_USER: &str = "1.3.9999.2.3";
    pub(crate) const DATABASE_NAME: &str = "1.3.9999.2.4";
    pub(crate) const IMPERSONATOR: &str = "1.3.9999.2.7";
    pub(crate) const DISALLOW_REISSUE: &str = "1.3.9999.2.9";
}

/// Passes the first certificate of a PEM file to `inspect`.
pub(super) fn with_certificate<T>(path: &Path, inspect: impl FnOnce(&X509Certificate<'_>) -> T) -> T {
    let text = read(path);
    let (_, pem) = x509_parser::pem::parse_x509_pem(text.as_bytes()).unwrap();
    inspect(&pem.parse_x509().unwrap())
}

/// Returns the subject attribute with this object identifier.
pub(super) fn subject_attribute(path: &Path, oid: &str) -> Option<String> {
    with_certificate(path, |certificate| {
        let mut attributes = certificate.subject().iter_attributes();
        let attribute = attributes.find(|attribute| attribute.attr_type().to_id_string() == oid)?;
        Some(attribute.as_str().unwrap().to_owned())
    })
}

/// The roles that the certificate was issued for, sorted.
pub(super) fn roles(path: &Path) -> Vec<String> {
    with_certificate(path, |certificate| {
        let organizations = certificate.subject().iter_organization();
        let mut roles: Vec<_> = organizations.map(|role| role.as_str().unwrap().to_owned()).collect();
        roles.sort();
        roles
    })
}

/// The generation of a renewable bot certificate.
pub(crate) fn generation(path: &Path) -> u64 {
    subject_attribute(path, attribute::GENERATION).expect("a generation").parse().unwrap()
}

/// Fails the test if the certificate is renewable or has a generation, which only joins with a secret token may issue.
pub(super) fn assert_not_renewable(path: &Path) {
    for oid in [attribute::RENEWABLE, attribute::GENERATION] {
        assert_eq!(subject_attribute(path, oid), None, "{oid}");
    }
}
