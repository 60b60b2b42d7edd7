//! A join with a bound key pair, without the network: which key pair signs a challenge, what a rotation does, and what must be saved
//! before which message.
//!
//! The server sends any number of challenges and requests for another key pair, and then its result. It changes nothing before the
//! result, so an exchange that is lost earlier can be repeated. If the result itself is lost, the stored state may be outdated:
//!
//! - The key pair that the server may have bound is in the history, because it was saved before it was announced.
//! - The join state may be outdated. Only a join without a certificate makes it so: the server counts a recovery.
//! - The generation of the certificate, if one was presented, may be outdated. [`may_have_joined`] says so, and the caller does
//!   not present that certificate again.
//!
//! [`may_have_joined`]: BoundKeypairExchange::may_have_joined

use std::sync::Arc;
use std::time::SystemTime;

use super::error::JoinError;
use crate::agent::bot::bound_keypair::{BoundKeypairInput, RegistrationSecret};
use crate::agent::bot::bound_keys::{BoundKeys, has_public_key, new_bound_key};
use crate::agent::bot::storage::StorageError;
use crate::agent::credential::keys::KeyPair;
use crate::agent::platform::ServerMessage;
use crate::agent::teleport::messages::join_v1::challenge_solution::Payload as Solution;
use crate::agent::teleport::messages::join_v1::{
    BoundKeypairChallenge, BoundKeypairChallengeSolution, BoundKeypairInit, BoundKeypairResult,
    BoundKeypairRotationRequest, BoundKeypairRotationResponse, ClientParams,
};

/// The most messages that a server may send before its result. It needs four to register a key pair and rotate it at once.
const MAX_CHALLENGES: usize = 8;
/// The longest challenge that the agent signs, in bytes.
const MAX_CHALLENGE_BYTES: usize = 16 << 10;

/// Stores durably what must be on the disk before a message is sent.
pub(crate) trait BoundKeyStore {
    /// Notes that the server may perform the join from now on.
    fn mark_pending(&self) -> impl Future<Output = Result<(), StorageError>> + Send;

    /// Saves the key pairs.
    fn save_bound_keys(&self, keys: BoundKeys) -> impl Future<Output = Result<(), StorageError>> + Send;
}

/// The key pairs that a bot joins with.
enum JoinKeys {
    Stored(BoundKeys),
    /// A key pair that is never rotated, without a join state.
    Static(Arc<KeyPair>),
}

/// One join.
pub(crate) struct BoundKeypairExchange {
    registration_secret: Option<RegistrationSecret>,
    keys: JoinKeys,
    challenges: usize,
    may_have_joined: bool,
}

/// The response to a message of the server.
#[derive(Debug)]
pub(super) struct KeypairSolution {
    /// To be saved before the response is sent.
    pub(super) to_save: Option<BoundKeys>,
    /// Whether the server may perform the join once it has this response.
    pub(super) may_join: bool,
    pub(super) solution: Solution,
}

impl BoundKeypairExchange {
    /// `stored` are the key pairs in the storage, which a static key pair replaces.
    pub(crate) fn new(input: BoundKeypairInput, stored: BoundKeys) -> Self {
        let BoundKeypairInput { registration_secret, static_key } = input;
        let keys = static_key.map_or(JoinKeys::Stored(stored), JoinKeys::Static);
        Self { registration_secret, keys, challenges: 0, may_have_joined: false }
    }

    pub(crate) fn registration_secret(&self) -> Option<&RegistrationSecret> {
        self.registration_secret.as_ref()
    }

    /// Records that the next message is a solution, after which the server may perform the join.
    pub(super) fn record_solution(&mut self) {
        self.may_have_joined = true;
    }

    /// Returns whether the server may have performed the join.
    pub(crate) fn may_have_joined(&self) -> bool {
        self.may_have_joined
    }

    /// Returns the key pairs to save with the identity. `None` for a static key pair.
    pub(crate) fn into_keys(self) -> Option<BoundKeys> {
        match self.keys {
            JoinKeys::Stored(keys) => Some(keys),
            JoinKeys::Static(_) => None,
        }
    }

    /// Returns the first message.
    pub(super) fn init(&self, client_params: Option<ClientParams>) -> BoundKeypairInit {
        let secret = self.registration_secret().map(RegistrationSecret::expose).unwrap_or_default();
        let previous_join_state = match &self.keys {
            JoinKeys::Stored(keys) => keys.join_state().to_vec(),
            JoinKeys::Static(_) => Vec::new(),
        };
        BoundKeypairInit { client_params, initial_join_secret: secret.to_owned(), previous_join_state }
    }

    /// Signs a challenge with the key pair that it names.
    pub(super) fn sign(&mut self, challenge: &BoundKeypairChallenge) -> Result<KeypairSolution, JoinError> {
        self.receive_challenge()?;
        if challenge.challenge.len() > MAX_CHALLENGE_BYTES {
            return Err(JoinError::MalformedResponse("its challenge is too long".to_owned()));
        }
        let key = self.find(&challenge.public_key)?;
        let jws = key.sign_jws(challenge.challenge.as_bytes())?;
        let solution = BoundKeypairChallengeSolution { solution: jws.into_bytes() };
        let solution = Solution::BoundKeypairChallengeSolution(solution);
        Ok(KeypairSolution { to_save: None, may_join: true, solution })
    }

    /// Generates another key pair, which must be saved before it is announced.
    pub(super) fn rotate(
        &mut self,
        request: &BoundKeypairRotationRequest,
        now: SystemTime,
    ) -> Result<KeypairSolution, JoinError> {
        self.receive_challenge()?;
        let JoinKeys::Stored(keys) = &mut self.keys else { return Err(JoinError::StaticKeyRotation) };
        let key = Arc::new(new_bound_key(&request.signature_algorithm_suite)?);
        let public_key = key.ssh_line()?.trim_end().as_bytes().to_vec();
        keys.add(key, now);
        let solution = Solution::BoundKeypairRotationResponse(BoundKeypairRotationResponse { public_key });
        Ok(KeypairSolution { to_save: Some(keys.clone()), may_join: false, solution })
    }

    /// Stores the new join state, and makes the newly bound key pair the active one. The caller must save the key pairs together with
    /// the certificates.
    pub(super) fn finish(&mut self, result: Option<BoundKeypairResult>) -> Result<(), JoinError> {
        let key = match &result {
            Some(result) => Some(self.find(&result.public_key)?),
            None => None,
        };
        match (&mut self.keys, key, result) {
            (JoinKeys::Static(_), _, _) => Ok(()),
            (JoinKeys::Stored(keys), Some(key), Some(result)) => {
                keys.activate(key);
                keys.set_join_state(result.join_state);
                Ok(())
            }
            (JoinKeys::Stored(_), _, _) => {
                Err(JoinError::MalformedResponse("it contains no join state".to_owned()))
            }
        }
    }

    fn find(&self, public_key: &[u8]) -> Result<Arc<KeyPair>, JoinError> {
        let key = match &self.keys {
            JoinKeys::Stored(keys) => keys.find(public_key),
            JoinKeys::Static(key) => Some(key).filter(|key| has_public_key(key, public_key)),
        };
        key.cloned().ok_or_else(|| JoinError::LostKey {
            public_key: ServerMessage::from(String::from_utf8_lossy(public_key).trim()),
            is_static: matches!(self.keys, JoinKeys::Static(_)),
        })
    }

    /// Handles a further message of the server, which shows that the join was not performed yet. Fails if there are too many.
    fn receive_challenge(&mut self) -> Result<(), JoinError> {
        self.may_have_joined = false;
        self.challenges += 1;
        if self.challenges > MAX_CHALLENGES {
            return Err(JoinError::MalformedResponse(
                "it contains another challenge, after too many".to_owned(),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn exchange(stored: BoundKeys) -> BoundKeypairExchange {
        BoundKeypairExchange::new(BoundKeypairInput { registration_secret: None, static_key: None }, stored)
    }

    fn challenge(public_key: &[u8]) -> BoundKeypairChallenge {
        BoundKeypairChallenge { public_key: public_key.to_vec(), challenge: r#"{"nonce":"a"}"#.to_owned() }
    }

    fn result(public_key: &[u8], join_state: &str) -> Option<BoundKeypairResult> {
        Some(BoundKeypairResult { join_state: join_state.into(), public_key: public_key.to_vec() })
    }

    fn rotate(exchange: &mut BoundKeypairExchange, suite: &str) -> (BoundKeys, Vec<u8>) {
        let request = BoundKeypairRotationRequest { signature_algorithm_suite: suite.to_owned() };
        let answer = exchange.rotate(&request, UNIX_EPOCH).unwrap();
        let Solution::BoundKeypairRotationResponse(response) = answer.solution else {
            panic!("{:?}", answer.solution)
        };
        (answer.to_save.unwrap(), response.public_key)
    }

    /// Joins for the first time, and returns what is stored after it, and the public key.
    fn joined() -> (BoundKeys, Vec<u8>) {
        let mut first = exchange(BoundKeys::default());
        let (_, public_key) = rotate(&mut first, "balanced-v1");
        first.sign(&challenge(&public_key)).unwrap();
        first.finish(result(&public_key, "state 1")).unwrap();
        (first.into_keys().unwrap(), public_key)
    }

    #[test]
    fn a_rotation_generates_the_type_of_key_that_the_suite_allows() {
        for (suite, key_type) in
            [("", "ssh-ed25519 "), ("balanced-v1", "ssh-ed25519 "), ("fips-v1", "ecdsa-sha2-nistp256 ")]
        {
            let (_, public_key) = rotate(&mut exchange(BoundKeys::default()), suite);
            assert!(public_key.starts_with(key_type.as_bytes()), "{suite}");
        }
    }

    #[test]
    fn a_new_key_pair_is_saved_before_it_is_announced_and_active_once_it_is_bound() {
        let (stored, old) = joined();
        let mut next = exchange(stored);
        assert_eq!(next.init(None).previous_join_state, b"state 1");
        assert!(next.sign(&challenge(&old)).unwrap().to_save.is_none());
        let (saved, new) = rotate(&mut next, "balanced-v1");
        assert!(saved.find(&new).is_some() && saved.find(&old).is_some());
        assert!(has_public_key(saved.active().unwrap(), &old), "not bound yet");
        next.sign(&challenge(&new)).unwrap();
        next.finish(result(&new, "state 2")).unwrap();
        let keys = next.into_keys().unwrap();
        assert!(has_public_key(keys.active().unwrap(), &new));
        assert_eq!(keys.join_state(), b"state 2");
    }

    /// Whenever a response is lost, what was saved until then contains the key pair that the server asks for next.
    #[test]
    fn after_any_lost_response_the_saved_key_pairs_sign_for_the_old_and_the_new_binding() {
        let (stored, old) = joined();
        // What is saved after each message that the agent sends, and the keys that the server may have bound by then.
        let mut lost = vec![(stored.clone(), vec![old.clone()])];
        let mut running = exchange(stored.clone());
        running.sign(&challenge(&old)).unwrap();
        lost.push((stored, vec![old.clone()]));
        let (saved, new) = rotate(&mut running, "balanced-v1");
        lost.push((saved.clone(), vec![old.clone()]));
        running.sign(&challenge(&new)).unwrap();
        lost.push((saved, vec![old, new]));
        for (step, (saved, possibly_bound)) in lost.into_iter().enumerate() {
            for public_key in possibly_bound {
                let mut next = exchange(saved.clone());
                assert!(next.sign(&challenge(&public_key)).is_ok(), "step {step}");
                next.finish(result(&public_key, "state 2")).unwrap();
                assert!(has_public_key(next.into_keys().unwrap().active().unwrap(), &public_key));
            }
        }
    }

    #[test]
    fn the_server_may_have_joined_only_after_a_solution_was_sent() {
        let (stored, old) = joined();
        let mut running = exchange(stored);
        assert!(!running.may_have_joined());
        running.sign(&challenge(&old)).unwrap();
        assert!(!running.may_have_joined(), "the solution was not sent yet");
        running.record_solution();
        assert!(running.may_have_joined());
        rotate(&mut running, "balanced-v1");
        assert!(!running.may_have_joined(), "the server has asked for more");
        running.sign(&challenge(b"ssh-ed25519 AAAA")).unwrap_err();
        assert!(!running.may_have_joined(), "nothing was sent");
    }

    #[test]
    fn a_key_pair_that_was_lost_is_named() {
        let (_, other) = joined();
        let (stored, _) = joined();
        let error = exchange(stored).sign(&challenge(&other)).unwrap_err();
        let JoinError::LostKey { public_key, is_static: false } = error else { panic!("{error:?}") };
        assert_eq!(public_key.raw().as_bytes(), other);
    }

    #[test]
    fn a_static_key_pair_signs_and_is_never_rotated() {
        let key = Arc::new(KeyPair::generate().unwrap());
        let public_key = key.ssh_line().unwrap().into_bytes();
        let (stored, _) = joined();
        let input = BoundKeypairInput { registration_secret: None, static_key: Some(key) };
        let mut running = BoundKeypairExchange::new(input, stored);
        assert!(running.init(None).previous_join_state.is_empty());
        running.sign(&challenge(&public_key)).unwrap();
        let request = BoundKeypairRotationRequest::default();
        let error = running.rotate(&request, UNIX_EPOCH).unwrap_err();
        assert!(matches!(error, JoinError::StaticKeyRotation), "{error:?}");
        running.finish(result(&public_key, "ignored")).unwrap();
        assert!(running.into_keys().is_none());
    }

    #[test]
    fn malformed_messages_are_refused() {
        let (stored, public_key) = joined();
        let malformed = |error| matches!(error, JoinError::MalformedResponse(_));
        let mut running = exchange(stored.clone());
        assert!(malformed(running.finish(None).unwrap_err()));
        let long = BoundKeypairChallenge {
            challenge: "a".repeat(MAX_CHALLENGE_BYTES + 1),
            ..challenge(&public_key)
        };
        assert!(malformed(running.sign(&long).unwrap_err()));
        let mut running = exchange(stored);
        let answers = (0..=MAX_CHALLENGES).map(|_| running.sign(&challenge(&public_key)).is_ok());
        assert_eq!(answers.filter(|is_ok| *is_ok).count(), MAX_CHALLENGES);
    }
}
