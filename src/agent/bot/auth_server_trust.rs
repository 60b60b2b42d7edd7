//! Decides which certificates of an auth server are trusted before the bot has an identity: those of the pinned CAs, or of the CAs
//! in a file. An identity contains the cluster's CAs, so this matters only for a join.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;

use crate::agent::credential::x509::{self, X509Error};
use crate::agent::net::tls::AuthTrust;
use crate::agent::platform::hex::sha256_hex;
use crate::agent::platform::regular_file;
use crate::agent::platform::tasks::run_blocking;
use crate::agent::platform::{Clock, Hint};
use crate::config::{Identifier, Location, Onboarding};

/// The largest file with CAs that the agent reads, in bytes.
const FILE_LIMIT: u64 = 1 << 20;

/// The auth server cannot be verified before a join, or is not the expected one. The join token was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthServerTrustError {
    /// The configuration does not say how to verify an auth server.
    #[error("an auth server cannot be verified without onboarding.ca_pins or onboarding.ca_path")]
    NotConfigured,
    /// A CA of the server is not one of the pinned ones.
    #[error("the auth server has a certificate authority that onboarding.ca_pins does not contain: {pin}")]
    OtherAuthority {
        /// The pin of the CA.
        pin: String,
    },
    /// A pinned CA of the server is not valid now.
    #[error("the auth server's certificate authority {pin} is not valid at this time")]
    NotValidNow {
        /// The pin of the CA.
        pin: String,
    },
    /// A certificate of the server cannot be parsed.
    #[error("a certificate authority of the auth server cannot be parsed")]
    Malformed(#[source] X509Error),
    /// The file that `onboarding.ca_path` names cannot be read.
    #[error("cannot read onboarding.ca_path ({path})")]
    Unreadable {
        /// The path in the configuration.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        error: io::Error,
    },
    /// The file that `onboarding.ca_path` names contains no certificate, or something that is not one.
    #[error("onboarding.ca_path ({path}) does not contain certificates in PEM")]
    NoCertificates {
        /// The path in the configuration.
        path: PathBuf,
    },
}

impl AuthServerTrustError {
    /// Returns advice for the operator.
    #[must_use]
    pub fn hint(&self) -> Hint {
        Hint::new(match self {
            Self::NotConfigured => {
                "set onboarding.ca_pins to what `tctl status` prints; for testing only, `insecure: true` accepts any server"
            }
            Self::OtherAuthority { .. } => {
                "compare it with `tctl status`: if the cluster's CA was replaced, set onboarding.ca_pins to the new pins; if not, \
                 another server responds instead of the auth server"
            }
            Self::NotValidNow { .. } => "check this machine's clock",
            Self::Malformed(_) => "check that this is the address of a Teleport auth server",
            Self::Unreadable { .. } | Self::NoCertificates { .. } => {
                "write the cluster's host CA to this file (tctl auth export --type=tls-host), or use onboarding.ca_pins"
            }
        })
    }

    /// Returns whether the configuration must change.
    pub(crate) fn is_configuration(&self) -> bool {
        matches!(self, Self::NotConfigured)
    }
}

/// What the configuration trusts.
#[derive(Clone)]
pub(crate) enum TrustSource {
    /// `insecure: true`.
    AnyServer,
    /// `onboarding.ca_pins`.
    Pins(Vec<String>),
    /// `onboarding.ca_path`.
    File(PathBuf),
    Nothing,
}

impl fmt::Display for TrustSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AnyServer => "insecure",
            Self::Pins(_) => "onboarding.ca_pins",
            Self::File(_) => "onboarding.ca_path",
            Self::Nothing => "nothing",
        })
    }
}

impl TrustSource {
    pub(crate) fn new(onboarding: &Onboarding, insecure: bool) -> Self {
        let pins: Vec<_> =
            onboarding.ca_pins.iter().flatten().map(Identifier::as_str).map(str::to_owned).collect();
        let path = onboarding.ca_path.as_ref().map(Location::as_str).filter(|path| !path.is_empty());
        match path {
            _ if insecure => Self::AnyServer,
            _ if !pins.is_empty() => Self::Pins(pins),
            Some(path) => Self::File(PathBuf::from(path)),
            None => Self::Nothing,
        }
    }

    /// Returns true if `onboarding` names CAs.
    pub(crate) fn names_authorities(&self) -> bool {
        matches!(self, Self::Pins(_) | Self::File(_))
    }

    /// Tests what does not depend on a server: whether the file can be used.
    pub(crate) async fn test(&self) -> Result<(), AuthServerTrustError> {
        match self {
            Self::File(path) => read_file(path).await.map(drop),
            Self::AnyServer | Self::Pins(_) | Self::Nothing => Ok(()),
        }
    }

    /// Returns what to trust. `authorities` are the CAs that the server claims to have, which nothing has verified.
    pub(crate) async fn resolve(
        &self,
        authorities: &[CertificateDer<'static>],
        clock: &Clock,
    ) -> Result<AuthTrust, AuthServerTrustError> {
        match self {
            Self::AnyServer => Ok(AuthTrust::AnyCertificate),
            Self::Pins(pins) => {
                check_pins(authorities, pins, clock)?;
                Ok(AuthTrust::Authorities(authorities.to_vec()))
            }
            Self::File(path) => read_file(path).await.map(AuthTrust::Authorities),
            Self::Nothing => Err(AuthServerTrustError::NotConfigured),
        }
    }
}

/// Checks that every CA is a pinned one, and valid now.
fn check_pins(
    authorities: &[CertificateDer<'static>],
    pins: &[String],
    clock: &Clock,
) -> Result<(), AuthServerTrustError> {
    let now = clock.now();
    for der in authorities {
        let authority = x509::certificate(der).map_err(AuthServerTrustError::Malformed)?;
        let pin = format!("sha256:{}", sha256_hex(authority.public_key().raw));
        if !pins.iter().any(|expected| expected.eq_ignore_ascii_case(&pin)) {
            return Err(AuthServerTrustError::OtherAuthority { pin });
        }
        let validity = authority.validity();
        let time = |seconds| x509::time(seconds).map_err(AuthServerTrustError::Malformed);
        if now < time(validity.not_before.timestamp())? || now > time(validity.not_after.timestamp())? {
            return Err(AuthServerTrustError::NotValidNow { pin });
        }
    }
    Ok(())
}

/// Reads the file anew for each join, because it may have been replaced.
async fn read_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, AuthServerTrustError> {
    let path = path.to_owned();
    run_blocking(move || read_authorities(&path)).await
}

fn read_authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, AuthServerTrustError> {
    let read = regular_file::read_to_string(path, FILE_LIMIT);
    let pem = read.map_err(|error| AuthServerTrustError::Unreadable { path: path.to_owned(), error })?;
    let certificates = x509::certificates(&pem).ok().filter(|certificates| {
        !certificates.is_empty() && certificates.iter().all(|der| x509::certificate(der).is_ok())
    });
    certificates.ok_or_else(|| AuthServerTrustError::NoCertificates { path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::agent::recordings::recorded;

    fn recorded_authority() -> Vec<CertificateDer<'static>> {
        x509::certificates(&recorded("outputs/identity/teleport-host-ca.crt")).unwrap()
    }

    fn pin_of(der: &CertificateDer<'_>) -> String {
        format!("sha256:{}", sha256_hex(x509::certificate(der).unwrap().public_key().raw))
    }

    fn clock_within(der: &CertificateDer<'_>, offset: i64) -> Clock {
        let start = x509::certificate(der).unwrap().validity().not_before.timestamp() + offset;
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(start.unsigned_abs());
        Clock::from_fn(move || now)
    }

    #[test]
    fn every_authority_must_be_pinned_and_valid() {
        let authorities = recorded_authority();
        let pin = pin_of(&authorities[0]);
        let clock = clock_within(&authorities[0], 60);
        let other = format!("sha256:{}", "0".repeat(64));
        check_pins(&authorities, &[other.clone(), pin.to_uppercase().replace("SHA", "sha")], &clock).unwrap();
        let refused = check_pins(&authorities, &[other], &clock).unwrap_err();
        assert!(
            matches!(&refused, AuthServerTrustError::OtherAuthority { pin: found } if *found == pin),
            "{refused}"
        );

        let mut key = rcgen::CertificateParams::new(Vec::new()).unwrap();
        key.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let second = key.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let both = [authorities[0].clone(), second.der().clone()];
        assert!(check_pins(&both, std::slice::from_ref(&pin), &clock).is_err());
        let early = clock_within(&authorities[0], -60);
        let refused = check_pins(&authorities, &[pin], &early).unwrap_err();
        assert!(matches!(refused, AuthServerTrustError::NotValidNow { .. }), "{refused}");
    }

    #[test]
    fn a_file_without_certificates_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("ca.pem");
        assert!(matches!(read_authorities(&path), Err(AuthServerTrustError::Unreadable { .. })));
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for content in ["", "no PEM", broken] {
            std::fs::write(&path, content).unwrap();
            let refused = read_authorities(&path);
            assert!(matches!(refused, Err(AuthServerTrustError::NoCertificates { .. })), "{content}");
        }
        std::fs::write(&path, recorded("outputs/identity/teleport-host-ca.crt")).unwrap();
        assert_eq!(read_authorities(&path).unwrap(), recorded_authority());
    }
}
