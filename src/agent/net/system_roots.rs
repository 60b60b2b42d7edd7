//! Loads the root certificates that this machine trusts: those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name, or those of the
//! system's store.
//!
//! A variable that names no certificate is an error. Otherwise, the agent would fail later, at the first connection, and
//! nothing would point to the variable.

use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls_native_certs::{CertificateResult, load_certs_from_paths};

use crate::agent::platform::{Environment, Hint};

/// The trusted root certificates cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RootsError {
    /// The system's store contains no certificate.
    #[error("no trusted root certificate found in the system's store{}", after_colon(.0))]
    EmptyStore(Option<String>),
    /// An environment variable names no file or directory with a certificate.
    #[error(
        "environment variable {variable} names no trusted root certificate: {path}{}",
        after_colon(problem)
    )]
    Variable {
        /// The variable.
        variable: &'static str,
        /// Its value.
        path: String,
        /// The first error from reading the certificates, if any.
        problem: Option<String>,
    },
}

fn after_colon(problem: &Option<String>) -> String {
    problem.as_ref().map(|problem| format!(": {problem}")).unwrap_or_default()
}

impl RootsError {
    /// Returns advice for the operator.
    #[must_use]
    pub fn hint(&self) -> Hint {
        match self {
            Self::EmptyStore(_) => Hint::new("install the system's CA certificates, or set SSL_CERT_FILE"),
            Self::Variable { variable, .. } => format!(
                "set {variable} to readable certificates in PEM, or unset it to use the system's store"
            )
            .into(),
        }
    }
}

/// Reads all trusted root certificates. Blocks.
pub(super) fn load(environment: &Environment) -> Result<Vec<CertificateDer<'static>>, RootsError> {
    let file = environment.get("SSL_CERT_FILE").map(|file| ("SSL_CERT_FILE", file, load_file(file)));
    let directories =
        environment.get("SSL_CERT_DIR").map(|list| ("SSL_CERT_DIR", list, load_directories(list)));
    if file.is_none() && directories.is_none() {
        let CertificateResult { certs, errors, .. } = load_system_store();
        return if certs.is_empty() { Err(RootsError::EmptyStore(first(&errors))) } else { Ok(certs) };
    }
    let mut all = Vec::new();
    for (variable, path, CertificateResult { certs, errors, .. }) in file.into_iter().chain(directories) {
        if certs.is_empty() {
            return Err(RootsError::Variable { variable, path: path.to_owned(), problem: first(&errors) });
        }
        all.extend(certs);
    }
    Ok(all)
}

fn first(errors: &[rustls_native_certs::Error]) -> Option<String> {
    errors.first().map(ToString::to_string)
}

fn load_file(file: &str) -> CertificateResult {
    let file = Path::new(file);
    // Reading a named pipe could block forever.
    if file.exists() && !file.is_file() {
        CertificateResult::default()
    } else {
        load_certs_from_paths(Some(file), None)
    }
}

fn load_directories(list: &str) -> CertificateResult {
    load_all(list.split(':').map(Path::new))
}

fn load_all<'a>(directories: impl Iterator<Item = &'a Path>) -> CertificateResult {
    let mut all = CertificateResult::default();
    for directory in directories {
        let one = load_certs_from_paths(None, Some(directory));
        all.certs.extend(one.certs);
        all.errors.extend(one.errors);
    }
    all
}

/// Loads the certificates of the system's store.
///
/// `load_native_certs` would read `SSL_CERT_FILE` and `SSL_CERT_DIR` of the process, even if the caller passed another
/// environment. So this loads the paths that it would search without them.
#[cfg(not(target_os = "macos"))]
fn load_system_store() -> CertificateResult {
    const FILES: [&str; 7] = [
        "/etc/ssl/certs/ca-certificates.crt", // Debian, Ubuntu, Gentoo
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // RHEL, CentOS; must precede the next one
        "/etc/pki/tls/certs/ca-bundle.crt",   // Fedora
        "/etc/ssl/ca-bundle.pem",             // openSUSE
        "/etc/pki/tls/cacert.pem",            // OpenELEC
        "/etc/ssl/cert.pem",                  // Alpine, BSD
        "/opt/etc/ssl/certs/ca-certificates.crt", // Entware
    ];
    const DIRECTORIES: [&str; 2] = ["/etc/ssl/certs", "/etc/pki/tls/certs"];
    let file = FILES.iter().map(Path::new).find(|file| file.exists());
    // On Fedora, one of them is a link to the other.
    let mut directories: Vec<PathBuf> =
        DIRECTORIES.iter().filter_map(|directory| std::fs::canonicalize(directory).ok()).collect();
    directories.dedup();
    let mut directories = directories.iter().map(PathBuf::as_path);
    // A bundle that is in the first directory is read only once if both are read together.
    let mut all = load_certs_from_paths(file, directories.next());
    let others = load_all(directories);
    all.certs.extend(others.certs);
    all.errors.extend(others.errors);
    // Most systems have each certificate both in a directory and in the bundle.
    all.certs.sort_unstable_by(|one, other| one.cmp(other));
    all.certs.dedup();
    all
}

#[cfg(target_os = "macos")]
#[expect(clippy::disallowed_methods, reason = "nothing else reads the keychain")]
fn load_system_store() -> CertificateResult {
    rustls_native_certs::load_native_certs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_with(variables: &[(&str, &Path)]) -> Result<usize, RootsError> {
        load(&variables.iter().copied().collect()).map(|certificates| certificates.len())
    }

    #[test]
    fn a_variable_without_certificates_is_an_error_that_names_it() {
        let root = tempfile::tempdir().unwrap();
        let (missing, empty, pipe) =
            (root.path().join("missing"), root.path().join("empty.pem"), root.path().join("pipe"));
        std::fs::write(&empty, "no certificate").unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
        let good = root.path().join("good.pem");
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new([]).unwrap().self_signed(&key).unwrap();
        std::fs::write(&good, certificate.pem()).unwrap();

        assert_eq!(load_with(&[("SSL_CERT_FILE", &good)]), Ok(1));
        for file in [&missing, &empty, &pipe] {
            let error = load_with(&[("SSL_CERT_FILE", file)]).unwrap_err();
            assert!(
                matches!(&error, RootsError::Variable { variable: "SSL_CERT_FILE", path, .. } if Path::new(path) == file),
                "{error}"
            );
        }
        let error = load_with(&[("SSL_CERT_FILE", &good), ("SSL_CERT_DIR", &missing)]).unwrap_err();
        assert!(matches!(error, RootsError::Variable { variable: "SSL_CERT_DIR", .. }), "{error}");
    }
}
