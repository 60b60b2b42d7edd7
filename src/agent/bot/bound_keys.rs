//! The key pairs of a bot that joins with `bound_keypair`, and the files that they are stored in. Pure.
//!
//! The cluster binds one key pair to the bot, and may ask for another one at any join (a rotation). Only its response to the join
//! says which one is bound afterwards. If that response is lost, either may be, so every key pair that was ever announced is kept
//! in a history. The cluster's challenges name the key pair that must sign them.
//!
//! The files are in the Go agent's format, so that either agent can take over from the other:
//!
//! | file | content |
//! | --- | --- |
//! | `id_bkp`, `id_bkp.pub` | the active key pair: private key in PEM, public key as an SSH line |
//! | `bkp_key_history.json` | every key pair in PEM, with the time when it was generated; the newest first, at most 10 |
//! | `bkp_state` | the join state: what the cluster signed at the last join, and expects at the next one |

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use ssh_key::PublicKey;

use crate::agent::credential::keys::{KeyError, KeyPair};
use crate::agent::destination::staging::NewFile;
use crate::agent::platform::error_text::describe_json_error;

const PRIVATE_KEY: &str = "id_bkp";
const PUBLIC_KEY: &str = "id_bkp.pub";
const HISTORY: &str = "bkp_key_history.json";
const JOIN_STATE: &str = "bkp_state";
/// The files that every saved set of key pairs consists of.
pub(crate) const BOUND_KEY_FILES: [&str; 4] = [PRIVATE_KEY, PUBLIC_KEY, HISTORY, JOIN_STATE];
/// Those of them that contain secrets.
pub(crate) const SECRET_BOUND_KEY_FILES: [&str; 3] = [PRIVATE_KEY, HISTORY, JOIN_STATE];
/// The number of key pairs in the history.
const MAX_HISTORY: usize = 10;

/// The key pairs of a bot, and its join state. The `Debug` output contains no secret.
#[derive(Clone, Default)]
pub(crate) struct BoundKeys {
    active: Option<Arc<KeyPair>>,
    /// The newest first. Contains the active key pair unless ten newer ones were generated.
    history: Vec<PastKey>,
    /// Empty before the first join.
    join_state: Vec<u8>,
}

#[derive(Clone)]
struct PastKey {
    /// In the format of RFC 3339.
    time: String,
    key: Arc<KeyPair>,
}

#[derive(Default, Serialize, Deserialize)]
struct HistoryFile {
    entries: Vec<HistoryEntry>,
}

#[derive(Serialize, Deserialize)]
struct HistoryEntry {
    time: String,
    private_key: String,
}

/// A stored file is damaged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {problem}")]
#[non_exhaustive]
pub struct BoundKeysError {
    /// The name of the file.
    pub file: &'static str,
    /// The problem. Contains no part of a key.
    pub problem: String,
}

impl BoundKeys {
    /// Returns the active key pair, which is the last one that is known to be bound, or the first one that was generated.
    pub(crate) fn active(&self) -> Option<&Arc<KeyPair>> {
        self.active.as_ref()
    }

    pub(crate) fn join_state(&self) -> &[u8] {
        &self.join_state
    }

    /// Returns whether the bot has joined with a key pair, so that it needs no registration secret any more.
    pub(crate) fn has_joined(&self) -> bool {
        self.active.is_some() && !self.join_state.is_empty()
    }

    /// Returns the key pair with this public key, which is given as an authorized_keys line.
    pub(crate) fn find(&self, line: &[u8]) -> Option<&Arc<KeyPair>> {
        let past = self.history.iter().map(|past| &past.key);
        self.active.iter().chain(past).find(|key| has_public_key(key, line))
    }

    /// Adds a new key pair, which becomes the active one if there is none yet.
    pub(crate) fn add(&mut self, key: Arc<KeyPair>, now: SystemTime) {
        let time = jiff::Timestamp::try_from(now).unwrap_or_default().to_string();
        self.history.insert(0, PastKey { time, key: Arc::clone(&key) });
        self.history.truncate(MAX_HISTORY);
        self.active.get_or_insert(key);
    }

    /// Makes a key pair the active one. It must be one of these.
    pub(crate) fn activate(&mut self, key: Arc<KeyPair>) {
        self.active = Some(key);
    }

    pub(crate) fn set_join_state(&mut self, join_state: Vec<u8>) {
        self.join_state = join_state;
    }

    /// Returns the content of all files. Those of an active key pair that is missing are empty.
    pub(crate) fn encode(&self) -> Result<Vec<NewFile>, KeyError> {
        let (private, public) = match &self.active {
            Some(key) => (key.private_pem().to_owned(), key.ssh_line()?),
            None => Default::default(),
        };
        let entries = self.history.iter().map(|past| HistoryEntry {
            time: past.time.clone(),
            private_key: past.key.private_pem().to_owned(),
        });
        let history = serde_json::to_vec(&HistoryFile { entries: entries.collect() }).unwrap_or_default();
        let contents = [private.into_bytes(), public.into_bytes(), history, self.join_state.clone()];
        Ok(BOUND_KEY_FILES.into_iter().map(str::to_owned).zip(contents).collect())
    }

    /// Reads the files. A missing file is the same as an empty one.
    pub(crate) fn decode(files: &BTreeMap<String, Vec<u8>>) -> Result<Self, BoundKeysError> {
        let content = |name| files.get(name).filter(|content| !content.is_empty());
        let active = content(PRIVATE_KEY).map(|pem| {
            KeyPair::from_pem(&String::from_utf8_lossy(pem))
                .map_err(|error| BoundKeysError { file: PRIVATE_KEY, problem: error.to_string() })
        });
        Ok(Self {
            active: active.transpose()?.map(Arc::new),
            history: content(HISTORY).map(|json| decode_history(json)).transpose()?.unwrap_or_default(),
            join_state: content(JOIN_STATE).cloned().unwrap_or_default(),
        })
    }
}

fn decode_history(json: &[u8]) -> Result<Vec<PastKey>, BoundKeysError> {
    let damaged = |problem| BoundKeysError { file: HISTORY, problem };
    let file: HistoryFile =
        serde_json::from_slice(json).map_err(|error| damaged(describe_json_error(&error)))?;
    let decode = |HistoryEntry { time, private_key }| {
        let key = KeyPair::from_pem(&private_key).map_err(|error| damaged(error.to_string()))?;
        Ok(PastKey { time, key: Arc::new(key) })
    };
    file.entries.into_iter().map(decode).collect()
}

/// Generates a key pair of the type that the cluster's signature algorithm suite, such as `balanced-v1`, asks for.
pub(crate) fn new_bound_key(suite: &str) -> Result<KeyPair, KeyError> {
    if suite == "fips-v1" { KeyPair::generate() } else { KeyPair::generate_ed25519() }
}

/// Whether this authorized_keys line, with any comment, is the public key of `key`.
pub(crate) fn has_public_key(key: &KeyPair, line: &[u8]) -> bool {
    let line = String::from_utf8_lossy(line);
    PublicKey::from_openssh(line.trim()).is_ok_and(|public| public.key_data() == key.ssh_key())
}

impl std::fmt::Debug for BoundKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BoundKeys(...)")
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn new_key() -> Arc<KeyPair> {
        Arc::new(KeyPair::generate_ed25519().unwrap())
    }

    fn line(key: &KeyPair) -> Vec<u8> {
        key.ssh_line().unwrap().into_bytes()
    }

    #[test]
    fn the_files_have_the_names_and_formats_of_the_go_agent() {
        let (first, second) = (new_key(), new_key());
        let mut keys = BoundKeys::default();
        keys.add(Arc::clone(&first), UNIX_EPOCH);
        keys.add(Arc::clone(&second), UNIX_EPOCH);
        keys.set_join_state(b"header.claims.signature".to_vec());
        let files: BTreeMap<_, _> = keys.encode().unwrap().into_iter().collect();
        assert_eq!(files["id_bkp"], first.private_pem().as_bytes());
        assert_eq!(files["id_bkp.pub"], line(&first));
        assert_eq!(files["bkp_state"], b"header.claims.signature");
        let history: serde_json::Value = serde_json::from_slice(&files["bkp_key_history.json"]).unwrap();
        let entry = |key: &KeyPair| serde_json::json!({ "time": "1970-01-01T00:00:00Z", "private_key": key.private_pem() });
        assert_eq!(history, serde_json::json!({ "entries": [entry(&second), entry(&first)] }));

        let decoded = BoundKeys::decode(&files).unwrap();
        assert_eq!(decoded.encode().unwrap(), keys.encode().unwrap());
        assert!(decoded.find(&line(&second)).is_some());
    }

    #[test]
    fn the_active_key_pair_is_never_lost_and_the_history_is_limited() {
        let active = new_key();
        let mut keys = BoundKeys::default();
        keys.add(Arc::clone(&active), UNIX_EPOCH);
        let others: Vec<_> = (0..MAX_HISTORY + 1).map(|_| new_key()).collect();
        others.iter().for_each(|key| keys.add(Arc::clone(key), UNIX_EPOCH));
        let is_kept = |key: &KeyPair| keys.find(&line(key)).is_some();
        assert!(is_kept(&active) && is_kept(&others[1]) && !is_kept(&others[0]));
        assert_eq!(keys.history.len(), MAX_HISTORY);
    }

    #[test]
    fn a_public_key_is_found_whatever_its_comment() {
        let key = new_key();
        let mut keys = BoundKeys::default();
        keys.add(Arc::clone(&key), UNIX_EPOCH);
        let commented = format!("{} bot@host\n", key.ssh_line().unwrap().trim());
        assert!(keys.find(commented.as_bytes()).is_some());
        for unknown in [line(&new_key()), b"".to_vec(), b"ssh-ed25519 \xff".to_vec()] {
            assert!(keys.find(&unknown).is_none());
        }
    }

    #[test]
    fn a_damaged_file_is_an_error_that_contains_no_key() {
        let nothing = BoundKeys::decode(&BTreeMap::from([("id_bkp".to_owned(), Vec::new())])).unwrap();
        assert!(nothing.active().is_none() && nothing.join_state().is_empty());
        for (file, content) in [
            ("id_bkp", "hunter2"),
            ("bkp_key_history.json", "hunter2"),
            ("bkp_key_history.json", r#"{"entries": "hunter2"}"#),
            ("bkp_key_history.json", r#"{"entries": [{"time": "", "private_key": "hunter2"}]}"#),
        ] {
            let files = BTreeMap::from([(file.to_owned(), content.as_bytes().to_vec())]);
            let error = BoundKeys::decode(&files).unwrap_err();
            assert_eq!(error.file, file);
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn keys_stay_out_of_debug() {
        let mut keys = BoundKeys::default();
        keys.add(new_key(), UNIX_EPOCH);
        assert_eq!(format!("{keys:?}"), "BoundKeys(...)");
    }
}
