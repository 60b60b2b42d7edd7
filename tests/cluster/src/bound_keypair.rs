//! The join method `bound_keypair`: a token that binds one key pair, and the exchange that proves that the client has it.
//!
//! Like a real server, the cluster first decides what it asks for. Only a client that has proved that it has the key learns whether
//! the token is locked, and whether its join state is that of the last join. Except for a lock, the cluster changes nothing before the
//! end of an exchange.

use std::time::SystemTime;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::json;
use ssh_key::PublicKey;
use ssh_key::public::KeyData;

use crate::error::ApiError;
use crate::identity::Caller;
use crate::keys::{hex, random, spki_from_ssh};

/// How a token registers a key pair.
#[derive(Clone, Debug)]
pub enum KeyRegistration {
    /// The first client that knows this secret registers its key pair.
    Secret { secret: String, must_register_before: Option<SystemTime> },
    /// The public key is known in advance, as an authorized_keys line.
    PublicKey(String),
}

/// What a token allows to clients without a valid certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoveryMode {
    /// A limited number of joins, with the join state of the last one.
    Standard,
    /// Any number of joins, with the join state of the last one.
    Relaxed,
    /// Any number of joins, without a join state.
    Insecure,
}

/// The settings and the status of a token.
#[derive(Clone, Debug)]
pub struct BoundKeypairToken {
    pub registration: KeyRegistration,
    pub recovery_limit: u32,
    pub recovery_mode: RecoveryMode,
    /// The key pair must be replaced at the first join after this time.
    pub rotate_after: Option<SystemTime>,
    /// The authorized_keys line of the key that is bound.
    pub bound_public_key: Option<String>,
    pub bound_instance: Option<String>,
    pub recovery_count: u32,
    pub last_rotated_at: Option<SystemTime>,
    /// Whether an outdated join state or generation has locked the token.
    pub is_locked: bool,
}

impl BoundKeypairToken {
    /// Returns a token that allows one join without a certificate.
    pub fn new(registration: KeyRegistration) -> Self {
        Self {
            registration,
            recovery_limit: 1,
            recovery_mode: RecoveryMode::Standard,
            rotate_after: None,
            bound_public_key: None,
            bound_instance: None,
            recovery_count: 0,
            last_rotated_at: None,
            is_locked: false,
        }
    }

    /// Returns a token that registers the key pair of the first client that knows `secret`.
    pub fn with_secret(secret: &str) -> Self {
        Self::new(KeyRegistration::Secret { secret: secret.to_owned(), must_register_before: None })
    }

    /// Returns a token for a key pair that is known in advance.
    pub fn with_public_key(line: &str) -> Self {
        Self::new(KeyRegistration::PublicKey(line.trim().to_owned()))
    }

    /// Returns the join state that the next join must present.
    pub(crate) fn join_state(&self) -> Vec<u8> {
        let instance = self.bound_instance.as_deref().unwrap_or_default();
        json!({ "recovery_sequence": self.recovery_count, "bot_instance_id": instance }).to_string().into()
    }

    /// Decides what to ask a client for.
    pub(crate) fn begin(
        &self,
        client: &ClientEvidence<'_>,
        now: SystemTime,
    ) -> Result<BoundKeypairPlan, ApiError> {
        let denied = |message: &str| ApiError::permission_denied(message);
        let is_recovery = client.instance().is_none();
        let first_key = match (&self.bound_public_key, &self.registration) {
            (Some(bound), _) => Some(bound.clone()),
            (None, _) if is_recovery && !self.has_recoveries() => {
                return Err(denied("no recovery attempts remaining"));
            }
            (None, _) if !is_recovery => {
                return Err(ApiError::invalid_argument(
                    "cannot perform first bound keypair join with existing credentials",
                ));
            }
            (None, KeyRegistration::PublicKey(line)) => Some(line.clone()),
            (None, KeyRegistration::Secret { secret, must_register_before }) => {
                let is_late = must_register_before.is_some_and(|limit| limit < now);
                if is_late || secret.is_empty() || client.registration_secret != secret {
                    return Err(denied("a valid registration secret is required"));
                }
                None
            }
        };
        let rotates = self
            .rotate_after
            .is_some_and(|after| after <= now && self.last_rotated_at.is_none_or(|last| last < after));
        Ok(BoundKeypairPlan { first_key, rotates, is_recovery })
    }

    /// Checks a client that has proved that it has the key. An outdated join state locks the token.
    pub(crate) fn admit(&mut self, client: &ClientEvidence<'_>) -> Result<(), ApiError> {
        let denied = |message: &str| ApiError::permission_denied(message);
        let has_joined = self.bound_public_key.is_some();
        if has_joined && client.instance().is_none() && !self.has_recoveries() {
            return Err(denied("no rejoins remaining"));
        }
        if self.is_locked {
            return Err(denied("lock targeting the join token is in force"));
        }
        if has_joined && self.recovery_count > 0 && self.recovery_mode != RecoveryMode::Insecure {
            let failed = || Err(denied("join state verification failed"));
            if client.join_state.is_empty() {
                return failed();
            }
            if client.join_state != self.join_state() {
                self.is_locked = true;
                return failed();
            }
        }
        if client.instance().is_some() && client.instance() != self.bound_instance.as_deref() {
            return Err(denied("bot instance mismatch"));
        }
        Ok(())
    }

    fn has_recoveries(&self) -> bool {
        self.recovery_mode != RecoveryMode::Standard || self.recovery_count < self.recovery_limit
    }
}

/// What a client presents at the start of an exchange.
pub(crate) struct ClientEvidence<'a> {
    pub(crate) registration_secret: &'a str,
    pub(crate) join_state: &'a [u8],
    /// Present if the client has a certificate.
    pub(crate) caller: Option<&'a Caller>,
}

impl ClientEvidence<'_> {
    fn instance(&self) -> Option<&str> {
        self.caller.and_then(|caller| caller.instance.as_deref())
    }
}

/// What the cluster asks for in one exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BoundKeypairPlan {
    /// The key that must sign a challenge. `None` if the client has to register one.
    pub(crate) first_key: Option<String>,
    /// Whether the client must replace its key pair.
    pub(crate) rotates: bool,
    pub(crate) is_recovery: bool,
}

/// Returns a new challenge: a document that the client must sign as it is.
pub(crate) fn new_challenge(cluster: &str) -> Result<String, ApiError> {
    Ok(json!({ "nonce": hex(&random::<32>()?), "aud": cluster }).to_string())
}

/// Verifies that `jws` is a compact JWS of exactly `challenge` by the key of the authorized_keys line.
pub(crate) fn verify_solution(line: &str, challenge: &str, jws: &[u8]) -> Result<(), ApiError> {
    #[derive(Deserialize)]
    struct Header {
        alg: String,
        typ: String,
    }
    let invalid = |what: &str| ApiError::invalid_argument(format!("validating challenge response: {what}"));
    let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| invalid("not base64url"));
    let jws = std::str::from_utf8(jws).map_err(|_| invalid("not UTF-8"))?;
    let (signed, signature) = jws.rsplit_once('.').ok_or_else(|| invalid("not a compact JWS"))?;
    let (header, payload) = signed.split_once('.').ok_or_else(|| invalid("not a compact JWS"))?;
    let header: Header =
        serde_json::from_slice(&decode(header)?).map_err(|_| invalid("the header is malformed"))?;
    if header.typ != "JWT" || decode(payload)? != challenge.as_bytes() {
        return Err(invalid("not the challenge"));
    }
    let key = PublicKey::from_openssh(line).map_err(|_| invalid("the public key is malformed"))?;
    let (expected, algorithm): (&str, &'static dyn VerificationAlgorithm) = match key.key_data() {
        KeyData::Ed25519(_) => ("EdDSA", &ED25519),
        KeyData::Rsa(_) => ("RS256", &RSA_PKCS1_2048_8192_SHA256),
        _ => ("ES256", &ECDSA_P256_SHA256_FIXED),
    };
    if header.alg != expected {
        return Err(invalid("another algorithm"));
    }
    let spki = spki_from_ssh(key.key_data())?;
    let public = UnparsedPublicKey::new(algorithm, spki.subject_public_key.raw_bytes());
    public.verify(signed.as_bytes(), &decode(signature)?).map_err(|_| invalid("the signature is invalid"))
}
