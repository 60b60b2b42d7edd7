//! Stores the bot's own identity in a directory, a Kubernetes Secret, or memory. `format` describes the files.

mod directory;
mod error;
mod format;
mod secret;

use std::sync::{Arc, Mutex};

use crate::agent::bot::bound_keys::BoundKeys;
use crate::agent::credential::identity::Identity;
use crate::agent::destination::kubernetes_secret::SecretClient;
use crate::agent::destination::target::DirectoryTarget;
use crate::agent::platform::lock::lock;
use crate::agent::platform::reminders::RecurringWarnings;
use directory::DirectoryStorage;
pub use error::StorageError;
pub(crate) use format::StoredIdentity;
use format::parse;
use secret::SecretStorage;

/// The storage of the bot's identity.
#[derive(Debug)]
pub(crate) enum Storage {
    Directory(Box<DirectoryStorage>),
    Secret(SecretStorage),
    /// Lost when the process ends.
    Memory(Mutex<InMemory>),
}

/// What a storage in memory contains.
#[derive(Debug, Default)]
pub(crate) struct InMemory {
    identity: Option<StoredIdentity>,
    keys: BoundKeys,
}

impl Storage {
    /// Opens and locks a directory, and completes or rolls back a save that a crash interrupted.
    pub(crate) fn open_directory(
        target: DirectoryTarget,
        warnings: RecurringWarnings,
    ) -> Result<Self, StorageError> {
        Ok(Self::Directory(Box::new(DirectoryStorage::open(target, warnings)?)))
    }

    /// Creates a storage in a Secret. Sends no request.
    pub(crate) fn secret(secret: SecretClient) -> Self {
        Self::Secret(SecretStorage::new(secret))
    }

    pub(crate) fn memory() -> Self {
        Self::Memory(Mutex::default())
    }

    /// Returns the location of the renewal marker, which the operator may remove if a pending renewal never reached the
    /// server. `None` for memory.
    pub(crate) fn renewal_marker_location(&self) -> Option<String> {
        match self {
            Self::Directory(directory) => Some(directory.renewal_marker_location()),
            Self::Secret(secret) => Some(secret.renewal_marker_location()),
            Self::Memory(_) => None,
        }
    }

    /// Returns the stored identity, or `None` if one of its files is missing or empty.
    pub(crate) fn load(&self) -> Result<Option<StoredIdentity>, StorageError> {
        match self {
            Self::Directory(directory) => directory.load(),
            Self::Secret(secret) => {
                let files = secret.load()?;
                parse(&secret.location(), |name| Ok(files.get(name).cloned()))
            }
            Self::Memory(stored) => Ok(lock(stored).identity.clone()),
        }
    }

    /// Returns the stored key pairs for the join method `bound_keypair`. Empty if there are none.
    pub(crate) fn load_keys(&self) -> Result<BoundKeys, StorageError> {
        match self {
            Self::Directory(directory) => directory.load_keys(),
            Self::Secret(secret) => BoundKeys::decode(&secret.load_keys()?)
                .map_err(|error| StorageError::DamagedKeys { location: secret.location(), error }),
            Self::Memory(stored) => Ok(lock(stored).keys.clone()),
        }
    }

    /// Saves the key pairs durably. A new one must not be announced to the cluster before this succeeds.
    ///
    /// What was reserved for the next identity is reserved again.
    pub(crate) fn save_keys(&self, keys: &BoundKeys) -> Result<(), StorageError> {
        match self {
            Self::Directory(directory) => directory.save_keys(keys),
            Self::Secret(secret) => Ok(secret.save_keys(keys.encode()?.into_iter().collect())?),
            Self::Memory(stored) => {
                lock(stored).keys = keys.clone();
                Ok(())
            }
        }
    }

    /// Tests whether a new identity can be saved, together with key pairs if `with_keys`, and reserves what saving it needs. If a
    /// renewal succeeds and its response cannot be saved, the new identity is lost.
    pub(crate) fn test_write(&self, with_keys: bool) -> Result<(), StorageError> {
        match self {
            Self::Directory(directory) => directory.test_write(with_keys),
            Self::Secret(secret) => Ok(secret.test_write()?),
            Self::Memory(_) => Ok(()),
        }
    }

    /// Saves `identity` durably, in one set with the key pairs that it was obtained with, if any, and removes the renewal marker.
    /// The identity must not be used before this succeeds.
    pub(crate) fn save(
        &self,
        identity: &Arc<Identity>,
        token_hash: &str,
        keys: Option<&BoundKeys>,
    ) -> Result<(), StorageError> {
        match self {
            Self::Directory(directory) => directory.save(identity, token_hash, keys),
            Self::Secret(secret) => {
                Ok(secret.save(format::encode_all(identity, token_hash, keys)?.into_iter().collect())?)
            }
            Self::Memory(stored) => {
                let identity = Arc::clone(identity);
                let token_hash = token_hash.to_owned();
                let mut stored = lock(stored);
                stored.identity = Some(StoredIdentity {
                    identity,
                    token_hash,
                    renewal_pending: false,
                    used_elsewhere: false,
                });
                stored.keys = keys.cloned().unwrap_or_else(|| stored.keys.clone());
                Ok(())
            }
        }
    }

    /// Stores the renewal marker durably, before a renewal with `identity` is requested.
    pub(crate) fn mark_renewal_pending(&self, identity: &Identity) -> Result<(), StorageError> {
        match self {
            Self::Directory(directory) => directory.mark_renewal_pending(identity),
            Self::Secret(secret) => Ok(secret.write_marker(identity)?),
            Self::Memory(stored) => {
                if let Some(stored) = lock(stored).identity.as_mut() {
                    stored.renewal_pending = true;
                }
                Ok(())
            }
        }
    }

    /// Removes the renewal marker, after a renewal that the server certainly did not perform.
    pub(crate) fn clear_renewal_pending(&self) -> Result<(), StorageError> {
        match self {
            Self::Directory(directory) => directory.clear_renewal_pending(),
            Self::Secret(secret) => Ok(secret.remove_marker()?),
            Self::Memory(stored) => {
                if let Some(stored) = lock(stored).identity.as_mut() {
                    stored.renewal_pending = false;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::format::{KEY, KEY_PUB, RENEWAL_MARKER, SSH_CAS, SSH_CERT, TLS_CAS, TLS_CERT, TOKEN_HASH};
    use super::*;
    use crate::agent::credential::keys::KeyPair;
    use crate::agent::destination::directory::DirectoryError;
    use crate::agent::platform::Clock;
    use crate::agent::recordings::{copy_recorded_directory, recorded};

    fn open(path: &Path) -> Storage {
        Storage::open_directory(DirectoryTarget::with_defaults(path), RecurringWarnings::new(Clock::system()))
            .unwrap()
    }

    fn load(storage: &Storage) -> StoredIdentity {
        storage.load().unwrap().expect("an identity is stored")
    }

    #[test]
    fn the_go_agents_storage_is_read_and_written_back_unchanged() {
        let directory = copy_recorded_directory("storage");
        let storage = open(directory.path());
        let stored = load(&storage);
        assert_eq!(stored.identity.user.generation, Some(2));
        assert_eq!(stored.token_hash, recorded("storage/tokenhash"));
        assert!(!stored.renewal_pending);

        storage.test_write(false).unwrap();
        storage.save(&stored.identity, &stored.token_hash, None).unwrap();
        for name in [KEY, KEY_PUB, TLS_CERT, SSH_CERT, TLS_CAS, SSH_CAS, TOKEN_HASH] {
            let written = std::fs::read_to_string(directory.path().join(name)).unwrap();
            assert_eq!(written, recorded(&format!("storage/{name}")), "{name}");
        }
    }

    #[test]
    fn an_incomplete_identity_is_ignored_and_one_with_a_wrong_key_is_an_error() {
        let directory = copy_recorded_directory("storage");
        let storage = open(directory.path());
        std::fs::write(directory.path().join(TLS_CAS), "").unwrap();
        assert!(storage.load().unwrap().is_none());
        std::fs::write(directory.path().join(TLS_CAS), recorded("storage/tlscacerts")).unwrap();
        std::fs::write(directory.path().join(KEY), recorded("outputs/identity/key")).unwrap();
        assert!(matches!(storage.load(), Err(StorageError::Damaged { .. })));
    }

    #[test]
    fn a_pending_renewal_outlives_the_process_until_another_identity_is_stored() {
        let directory = copy_recorded_directory("storage");
        let storage = open(directory.path());
        storage.mark_renewal_pending(&load(&storage).identity).unwrap();
        drop(storage);

        let storage = open(directory.path());
        let stored = load(&storage);
        assert!(stored.renewal_pending);
        storage.clear_renewal_pending().unwrap();
        assert!(!load(&storage).renewal_pending);

        // The marker of another certificate has no effect (the Go agent may have renewed since), nor does a partial
        // one.
        for ineffective in ["00", ""] {
            std::fs::write(directory.path().join(RENEWAL_MARKER), ineffective).unwrap();
            assert!(!load(&storage).renewal_pending);
        }
        storage.test_write(false).unwrap();
        storage.mark_renewal_pending(&stored.identity).unwrap();
        storage.save(&stored.identity, &stored.token_hash, None).unwrap();
        assert!(!load(&storage).renewal_pending);
    }

    #[test]
    fn a_storage_stays_locked_if_its_lock_file_is_replaced() {
        let directory = copy_recorded_directory("storage");
        let storage = open(directory.path());
        std::fs::remove_file(directory.path().join("lock")).unwrap();
        load(&storage);
        let target = DirectoryTarget::with_defaults(directory.path());
        match Storage::open_directory(target, RecurringWarnings::new(Clock::system())).unwrap_err() {
            StorageError::Directory(DirectoryError::Locked(path)) => assert_eq!(path, directory.path()),
            error => panic!("{error:?}"),
        }
    }

    /// The owner of the parent can put such a directory there.
    #[test]
    #[ignore = "needs root"]
    fn a_directory_of_another_user_in_the_place_of_the_storage_gets_no_keys() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("storage");
        std::fs::rename(copy_recorded_directory("storage").keep(), &path).unwrap();
        let storage = open(&path);
        load(&storage);
        std::fs::rename(&path, parent.path().join("moved")).unwrap();
        std::fs::create_dir(&path).unwrap();
        std::os::unix::fs::chown(&path, Some(1), None).unwrap();
        let Err(StorageError::Replaced { error, .. }) = storage.load() else {
            panic!("the directory is used")
        };
        let StorageError::Directory(DirectoryError::OwnerChanged { owner: 1, .. }) = *error else {
            panic!("{error:?}")
        };
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
    }

    #[test]
    fn memory_keeps_the_identity_and_the_pending_renewal() {
        let directory = copy_recorded_directory("storage");
        let stored = load(&open(directory.path()));
        let memory = Storage::memory();
        assert!(memory.load().unwrap().is_none());
        memory.save(&stored.identity, "hash", None).unwrap();
        memory.mark_renewal_pending(&stored.identity).unwrap();
        let loaded = load(&memory);
        assert_eq!((loaded.token_hash.as_str(), loaded.renewal_pending), ("hash", true));
    }

    #[test]
    fn the_identity_in_a_directory_that_was_moved_away_is_used_elsewhere() {
        let [parent, recorded] = [tempfile::tempdir().unwrap(), copy_recorded_directory("storage")];
        let [path, moved] = ["storage", "moved"].map(|name| parent.path().join(name));
        let storage = open(&path);
        storage.save(&load(&open(recorded.path())).identity, "hash", None).unwrap();
        std::fs::rename(&path, &moved).unwrap();
        assert!(!load(&storage).used_elsewhere);
        let left = load(&open(&moved));
        assert!(left.renewal_pending && left.used_elsewhere);
    }

    #[test]
    fn the_key_pairs_of_a_bot_without_an_identity_are_saved_in_a_directory_that_replaces_the_storage() {
        let parent = tempfile::tempdir().unwrap();
        let [path, moved] = ["storage", "moved"].map(|name| parent.path().join(name));
        let storage = open(&path);
        let mut keys = BoundKeys::default();
        keys.add(Arc::new(KeyPair::generate().unwrap()), std::time::UNIX_EPOCH);
        storage.save_keys(&keys).unwrap();
        std::fs::rename(&path, &moved).unwrap();
        assert!(storage.load().unwrap().is_none());
        assert_eq!(storage.load_keys().unwrap().encode().unwrap(), keys.encode().unwrap());
        // Once more, because the new directory is what is known now.
        std::fs::remove_dir_all(&path).unwrap();
        assert!(storage.load().unwrap().is_none());
        assert_eq!(storage.load_keys().unwrap().encode().unwrap(), keys.encode().unwrap());
    }
}
