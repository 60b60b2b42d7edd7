//! Reads the files of an output: the key, the certificate for it, and the authorities that they come with.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use ssh_key::Certificate;

/// The contents of a set of files.
pub(super) struct Credentials {
    pub(super) not_after: SystemTime,
    /// A line of the private key that appears nowhere else.
    pub(super) secret: String,
    /// The certificates of the host authority, if the output has them.
    pub(super) host_ca: Option<String>,
}

impl Credentials {
    /// Reads a set with a TLS certificate.
    ///
    /// # Errors
    ///
    /// Returns an error if a file is missing, or if the files do not belong together.
    pub(super) fn of_user(directory: &Path) -> Result<Self> {
        let [key, certificate, ssh, identity, host_ca] =
            read(directory, ["key", "tlscert", "key-cert.pub", "identity", "teleport-host-ca.crt"])?;
        let public = public_key(&key)?;
        let (_, pem) = x509_parser::pem::parse_x509_pem(certificate.as_bytes())?;
        let parsed = pem.parse_x509()?;
        if parsed.public_key().raw != public {
            bail!("the key does not match the certificate");
        }
        if [&key, &certificate, &ssh].iter().any(|part| !identity.contains(part.as_str())) {
            bail!("the identity file belongs to another set");
        }
        let tls_expiry = u64::try_from(parsed.validity().not_after.timestamp())?;
        let ssh_expiry = Certificate::from_openssh(&ssh)?.valid_before();
        let not_after = UNIX_EPOCH + Duration::from_secs(tls_expiry.min(ssh_expiry));
        Ok(Self { not_after, secret: secret_line(&key)?, host_ca: Some(host_ca) })
    }

    /// Reads a set with the certificate of an SSH host.
    ///
    /// # Errors
    ///
    /// Returns an error if a file is missing, or if the files do not belong together.
    pub(super) fn of_host(directory: &Path) -> Result<Self> {
        let [key, certificate] = read(directory, ["ssh_host", "ssh_host-cert.pub"])?;
        let parsed = Certificate::from_openssh(&certificate)?;
        let point = parsed.public_key().ecdsa().context("the key is not ECDSA")?.as_sec1_bytes();
        // The point is the end of the encoded key.
        if !public_key(&key)?.ends_with(point) {
            bail!("the key does not match the certificate");
        }
        let not_after = UNIX_EPOCH + Duration::from_secs(parsed.valid_before());
        Ok(Self { not_after, secret: secret_line(&key)?, host_ca: None })
    }
}

/// Returns the public part of a private key in PEM, in the encoding of certificates.
fn public_key(private: &str) -> Result<Vec<u8>> {
    let private = PrivateKeyDer::from_pem_slice(private.as_bytes())?;
    let private = rustls::crypto::aws_lc_rs::sign::any_supported_type(&private)?;
    Ok(private.public_key().context("the key has no public part")?.to_vec())
}

/// Reads files of one set.
fn read<const N: usize>(directory: &Path, names: [&str; N]) -> Result<[String; N]> {
    let mut contents = names.map(|_| String::new());
    for (name, content) in names.iter().zip(&mut contents) {
        *content = fs::read_to_string(directory.join(name)).with_context(|| format!("cannot read {name}"))?;
    }
    Ok(contents)
}

/// Returns the second to last line of a private key in PEM: the first ones of two keys may be the same.
fn secret_line(pem: &str) -> Result<String> {
    let mut lines = pem.trim_end().lines().rev().skip(1);
    let line = lines.nth(1).filter(|line| !line.starts_with("-----"));
    line.map(str::to_owned).context("the key is not in PEM")
}
