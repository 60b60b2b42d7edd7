//! Reads what the join method `bound_keypair` needs: the secret that registers the bot's key pair, and a static key pair, if any.
//! Both come from the configuration or the environment.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::agent::bot::IDENTITY;
use crate::agent::bot::secret_file::{SecretFile, SecretFileError};
use crate::agent::credential::keys::{KeyError, KeyPair};
use crate::agent::platform::error_text::error_chain;
use crate::agent::platform::reminders::RecurringWarnings;
use crate::agent::platform::tasks::run_blocking;
use crate::agent::platform::{Environment, Hint};
use crate::config::{BoundKeypairJoin, Location, Onboarding};

const REGISTRATION_SECRET: &str = "TBOT_REGISTRATION_SECRET";
const STATIC_KEY: &str = "TBOT_BOUND_KEYPAIR_STATIC_KEY";

/// The registration secret or the static key pair cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BoundKeypairError {
    /// A file cannot be read.
    #[error("cannot read {path}, which onboarding.bound_keypair names")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        error: io::Error,
    },
    /// A file is empty, or contains only whitespace.
    #[error("{path}, which onboarding.bound_keypair names, is empty")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The static private key is not valid.
    #[error("the static private key in {location} cannot be used")]
    StaticKey {
        /// The file or the environment variable.
        location: String,
        /// The problem.
        #[source]
        error: KeyError,
    },
    /// The environment variable with the static private key is not base64.
    #[error("{STATIC_KEY} is not base64 of a private key in PEM")]
    NotBase64,
}

impl BoundKeypairError {
    /// Returns true if there is no value, rather than one that cannot be read or used.
    fn is_about_a_missing_value(&self) -> bool {
        match self {
            Self::Unreadable { error, .. } => error.kind() == io::ErrorKind::NotFound,
            Self::Empty { .. } => true,
            Self::StaticKey { .. } | Self::NotBase64 => false,
        }
    }

    /// Returns advice for the operator.
    #[must_use]
    pub fn hint(&self) -> Hint {
        Hint::new(match self {
            Self::StaticKey { .. } | Self::NotBase64 => "generate one with tbot keypair create --static",
            Self::Unreadable { .. } => "check the path, and that the user of the agent can read the file",
            Self::Empty { .. } => "write the secret or the key to the file",
        })
    }
}

/// The secret that registers a key pair at the first join. Its `Debug` output does not contain the secret.
#[derive(Clone)]
pub(crate) struct RegistrationSecret(String);

impl RegistrationSecret {
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RegistrationSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RegistrationSecret(...)")
    }
}

/// Where a value comes from.
#[derive(Clone)]
enum ValueSource {
    File(SecretFile),
    Value(String),
    Variable(&'static str, String),
}

/// The configured sources.
#[derive(Clone)]
pub(crate) struct BoundKeypairSources {
    registration_secret: Option<ValueSource>,
    static_key: Option<ValueSource>,
}

/// What the sources contain.
#[derive(Debug)]
pub(crate) struct BoundKeypairInput {
    pub(crate) registration_secret: Option<RegistrationSecret>,
    /// A key pair that is never rotated, and for which no state is stored.
    pub(crate) static_key: Option<Arc<KeyPair>>,
}

impl BoundKeypairSources {
    /// The configuration takes precedence over the environment.
    pub(crate) fn new(onboarding: &Onboarding, environment: &Environment) -> Self {
        let unset = BoundKeypairJoin::default();
        let settings = onboarding.bound_keypair.as_ref().unwrap_or(&unset);
        let file = |path: &Option<Location>| {
            let path = path.as_ref().filter(|path| !path.is_empty())?;
            Some(ValueSource::File(SecretFile::new(path.as_str())))
        };
        let secret = settings.registration_secret.as_ref().filter(|secret| !secret.is_empty());
        let secret = secret.map(|secret| ValueSource::Value(secret.as_str().to_owned()));
        Self {
            registration_secret: prefer(
                file(&settings.registration_secret_path).or(secret),
                REGISTRATION_SECRET,
                environment,
            ),
            static_key: prefer(
                file(&settings.static_private_key_path).or(file(&settings.static_key_path)),
                STATIC_KEY,
                environment,
            ),
        }
    }

    pub(crate) fn has_static_key(&self) -> bool {
        self.static_key.is_some()
    }

    /// Reads the sources, and warns if every user can read or change a file, or if the registration secret cannot be read and the join
    /// does not need it.
    pub(crate) async fn read(
        &self,
        purpose: JoinPurpose,
        warnings: &RecurringWarnings,
    ) -> Result<BoundKeypairInput, BoundKeypairError> {
        let (sources, warnings) = (self.clone(), warnings.clone());
        run_blocking(move || sources.read_blocking(purpose, &warnings)).await
    }

    fn read_blocking(
        &self,
        purpose: JoinPurpose,
        warnings: &RecurringWarnings,
    ) -> Result<BoundKeypairInput, BoundKeypairError> {
        let secret =
            self.registration_secret.as_ref().map(|source| source.read("registration secret", warnings));
        let secret = match secret.transpose() {
            Err(error) if purpose != JoinPurpose::FirstJoin && error.is_about_a_missing_value() => {
                tracing::debug!("joining without a registration secret: {}", error_chain(&error));
                None
            }
            Err(error) if purpose == JoinPurpose::Renewal => {
                let error = error_chain(&error);
                warnings.warn(IDENTITY, format_args!("joining again without a registration secret: {error}"));
                None
            }
            secret => secret?.map(|secret| RegistrationSecret(secret.trim().to_owned())),
        };
        let static_key = self.static_key.as_ref().map(|source| source.read_key(warnings)).transpose()?;
        Ok(BoundKeypairInput { registration_secret: secret, static_key: static_key.map(Arc::new) })
    }
}

/// The purpose of a join, which decides whether the registration secret is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JoinPurpose {
    /// To bind a key pair: the registration secret is needed.
    FirstJoin,
    /// To recover, or with another token. The file with the secret may be missing: a secret can be used only once, so operators delete
    /// it. A file that cannot be read may contain the secret of another token.
    LaterJoin,
    /// To renew an identity, for which servers do not use the secret.
    Renewal,
}

/// Returns the configured source, or else the variable, if it is set.
fn prefer(
    configured: Option<ValueSource>,
    variable: &'static str,
    environment: &Environment,
) -> Option<ValueSource> {
    let value = environment.get(variable).filter(|value| !value.is_empty());
    if configured.is_some() && value.is_some() {
        tracing::warn!("{variable} is ignored, because onboarding.bound_keypair is set");
    }
    configured.or_else(|| value.map(|value| ValueSource::Variable(variable, value.to_owned())))
}

impl ValueSource {
    fn read(&self, what: &str, warnings: &RecurringWarnings) -> Result<String, BoundKeypairError> {
        match self {
            Self::File(file) => read_file(file, what, warnings),
            Self::Value(value) | Self::Variable(_, value) => Ok(value.clone()),
        }
    }

    fn read_key(&self, warnings: &RecurringWarnings) -> Result<KeyPair, BoundKeypairError> {
        let value = self.read("static private key", warnings)?;
        let (location, pem) = match self {
            Self::Variable(name, _) => {
                // GNU `base64` breaks lines after 76 characters.
                let value = value.trim().replace(['\r', '\n'], "");
                let pem = STANDARD.decode(value).ok().and_then(|pem| String::from_utf8(pem).ok());
                ((*name).to_owned(), pem.ok_or(BoundKeypairError::NotBase64)?)
            }
            Self::File(file) => (file.path().display().to_string(), value),
            Self::Value(_) => ("the configuration".to_owned(), value),
        };
        static_key(&pem).map_err(|error| BoundKeypairError::StaticKey { location, error })
    }
}

/// Returns the key pair with this private key, if it can sign the challenges of a join.
pub(crate) fn static_key(pem: &str) -> Result<KeyPair, KeyError> {
    KeyPair::from_pem(pem).and_then(|key| key.jws_algorithm().map(|_| key))
}

fn read_file(
    file: &SecretFile,
    what: &str,
    warnings: &RecurringWarnings,
) -> Result<String, BoundKeypairError> {
    let path = || file.path().to_owned();
    file.read(Some(what), warnings).map_err(|error| match error {
        SecretFileError::Empty => BoundKeypairError::Empty { path: path() },
        SecretFileError::Unreadable(error) => BoundKeypairError::Unreadable { path: path(), error },
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::*;
    use crate::agent::platform::{Clock, Exposure};

    fn read(
        settings: serde_json::Value,
        variables: &[(&str, &str)],
    ) -> Result<BoundKeypairInput, BoundKeypairError> {
        let onboarding = serde_json::Map::from_iter([("bound_keypair".to_owned(), settings)]);
        let onboarding = serde_json::from_value(onboarding.into()).unwrap();
        let environment = variables.iter().copied().collect();
        BoundKeypairSources::new(&onboarding, &environment)
            .read_blocking(JoinPurpose::FirstJoin, &RecurringWarnings::new(Clock::system()))
    }

    #[test]
    fn the_registration_secret_comes_from_the_configuration_or_the_environment() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("secret");
        std::fs::write(&file, " from-file\n").unwrap();
        let variable = (REGISTRATION_SECRET, "from-variable");
        for (settings, variables, expected) in [
            (serde_json::json!({}), &[][..], None),
            (serde_json::json!({}), &[variable], Some("from-variable")),
            (serde_json::json!({ "registration_secret": "" }), &[variable], Some("from-variable")),
            (serde_json::json!({ "registration_secret": "/literal" }), &[variable], Some("/literal")),
            (serde_json::json!({ "registration_secret_path": file }), &[variable], Some("from-file")),
        ] {
            let secret = read(settings, variables).unwrap().registration_secret;
            assert_eq!(secret.as_ref().map(RegistrationSecret::expose), expected);
        }
    }

    #[test]
    fn a_static_key_comes_from_a_file_or_the_environment() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("key");
        let (first, second) = (KeyPair::generate_ed25519().unwrap(), KeyPair::generate_rsa().unwrap());
        std::fs::write(&file, first.private_pem()).unwrap();
        let encoded = STANDARD.encode(second.private_pem());
        let variables = [(STATIC_KEY, encoded.as_str())];
        let lines: Vec<_> =
            encoded.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
        let lines = lines.join("\r\n");
        for (settings, variables, expected) in [
            (serde_json::json!({ "static_private_key_path": file }), &variables[..], &first),
            (serde_json::json!({ "static_key_path": file }), &[], &first),
            (serde_json::json!({}), &variables, &second),
            (serde_json::json!({}), &[(STATIC_KEY, lines.as_str())], &second),
        ] {
            let key = read(settings, variables).unwrap().static_key.unwrap();
            assert_eq!(key.spki_der(), expected.spki_der());
        }
        assert!(read(serde_json::json!({}), &[]).unwrap().static_key.is_none());
    }

    #[test]
    fn an_error_names_the_source_and_contains_no_secret() {
        let directory = tempfile::tempdir().unwrap();
        let [missing, empty, other] = ["missing", "empty", "other"].map(|name| directory.path().join(name));
        std::fs::write(&empty, "\n").unwrap();
        std::fs::write(&other, "hunter2").unwrap();
        let failed = |settings, variables: &[(&str, &str)]| {
            let error = read(settings, variables).unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
            error
        };
        for key in ["registration_secret_path", "static_private_key_path"] {
            let error = failed(serde_json::json!({ key: missing }), &[]);
            assert!(matches!(&error, BoundKeypairError::Unreadable { path, .. } if *path == missing));
            let error = failed(serde_json::json!({ key: empty }), &[]);
            assert!(matches!(&error, BoundKeypairError::Empty { path } if *path == empty), "{error:?}");
        }
        let error = failed(serde_json::json!({ "static_private_key_path": other }), &[]);
        assert!(matches!(error, BoundKeypairError::StaticKey { error: KeyError::NotPem, .. }), "{error:?}");
        let error = failed(serde_json::json!({}), &[(STATIC_KEY, "!hunter2")]);
        assert!(matches!(error, BoundKeypairError::NotBase64), "{error:?}");
    }

    #[test]
    fn only_a_join_without_an_identity_fails_if_the_secret_cannot_be_read() {
        let directory = tempfile::tempdir().unwrap();
        let [missing, empty] = ["missing", "empty"].map(|name| directory.path().join(name));
        std::fs::write(&empty, "\n").unwrap();
        let read = |purpose, path: &Path| {
            let settings = serde_json::json!({ "bound_keypair": { "registration_secret_path": path } });
            let sources =
                BoundKeypairSources::new(&serde_json::from_value(settings).unwrap(), &Environment::default());
            sources.read_blocking(purpose, &RecurringWarnings::new(Clock::system()))
        };
        for purpose in [JoinPurpose::LaterJoin, JoinPurpose::Renewal] {
            for path in [&missing, &empty] {
                assert!(read(purpose, path).unwrap().registration_secret.is_none());
            }
        }
        let unreadable = directory.path();
        assert!(matches!(
            read(JoinPurpose::LaterJoin, unreadable),
            Err(BoundKeypairError::Unreadable { .. })
        ));
        assert!(read(JoinPurpose::Renewal, unreadable).unwrap().registration_secret.is_none());
    }

    #[test]
    fn secrets_stay_out_of_debug() {
        let input = read(serde_json::json!({ "registration_secret": "hunter2" }), &[]).unwrap();
        assert!(!format!("{input:?}").contains("hunter2"));
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("secret");
        std::fs::write(&file, "hunter2").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        let warning = Exposure::Readable.warning("registration secret", &file);
        assert!(!warning.contains("hunter2"), "{warning}");
    }
}
