//! The bot's own identity on disk, in the Go agent's format, so that either agent can take over. One I/O edge.
//!
//! | file | content |
//! | --- | --- |
//! | `key`, `key.pub` | private PEM, SSH line |
//! | `tlscert`, `key-cert.pub` | TLS leaf in PEM, SSH certificate line |
//! | `tlscacerts`, `sshcacerts` | authorities, joined by one `$` |
//! | `tokenhash` | hexadecimal SHA-256 of the token that was joined with |
//! | `.write-test`, `lock`, `.tbot-lock` | empty |
//! | `renewal-pending` | ours: a renewal was asked for with this certificate, and no answer is saved yet |
//!
//! A server counts renewals and locks the bot when an old count is presented again. So the note is on disk before a
//! renewal is asked for. It names the certificate that was presented: as soon as another one is stored, it is void. The
//! Go agent does not know the note: do not let it take over a storage that has one.

mod secret;

use crate::agent::credential::identity::CA_SEPARATOR;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::agent::credential::identity::{Identity, IdentityError, SignedCerts};
use crate::agent::credential::keys::KeyPair;
use crate::agent::destination::atomic_write::{NewFile, Recovered};
use crate::agent::destination::directory::{Folder, FolderError, Lock};
use crate::agent::destination::kubernetes_secret::{self, KubeError, Secret};
use crate::agent::destination::readers::Access;
use crate::agent::destination::writer::{DestinationError, Directory};
use crate::agent::platform::hex::sha256_hex;
use secret::SecretStorage;

const KEY: &str = "key";
const KEY_PUB: &str = "key.pub";
const TLS_CERT: &str = "tlscert";
const SSH_CERT: &str = "key-cert.pub";
/// The name before `key-cert.pub`; read when that is empty.
const OLD_SSH_CERT: &str = "sshcert";
const TLS_CAS: &str = "tlscacerts";
const SSH_CAS: &str = "sshcacerts";
const TOKEN_HASH: &str = "tokenhash";
const PENDING: &str = "renewal-pending";
/// More than an identity takes with its files and folders, in bytes.
const ROOM: usize = 64 << 10;
/// The storage could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Files.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A Kubernetes Secret.
    #[error("the storage: {0}")]
    Secret(#[from] KubeError),
    /// What is configured beside the folder's path, or a Secret.
    #[error("the storage: {0}")]
    Destination(#[from] DestinationError),
    /// The stored files do not belong together or are damaged.
    #[error(
        "the identity stored in {place} is damaged: {error}; restore these files from where they came, or remove them and join with a new token"
    )]
    Damaged {
        /// The storage.
        place: String,
        /// What is wrong.
        error: IdentityError,
    },
}

impl StorageError {
    /// True when trying again may help by itself.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Secret(error) if error.is_transient())
    }
}

/// Where the bot's identity lives.
#[derive(Debug)]
pub(crate) enum Storage {
    Directory {
        folder: Folder,
        access: Access,
        _lock: Lock,
    },
    Secret(SecretStorage),
    /// Lost at the end; holds what [`Storage::save`] got.
    Memory(Mutex<Option<Stored>>),
}

/// What is stored.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) identity: Arc<Identity>,
    /// Empty when the identity came without a known token.
    pub(crate) token_hash: String,
    /// A renewal was asked for with this very identity, and its answer was not saved.
    pub(crate) renewal_pending: bool,
}

impl Storage {
    /// Opens and locks a folder, and completes or rolls back what a crash left.
    pub(crate) fn directory(directory: Directory) -> Result<Self, StorageError> {
        let path = directory.path.as_path();
        let folder = directory.open()?;
        folder.test_write()?;
        let lock = folder.lock()?;
        if let Some(problem) = directory.test_access()? {
            tracing::warn!(storage = %path.display(), "{problem}");
        }
        match folder.recover()? {
            Recovered::Nothing => {}
            Recovered::RolledBack => {
                tracing::warn!(storage = %path.display(), "an identity that was not saved completely was rolled back");
            }
            Recovered::Completed => {
                tracing::warn!(storage = %path.display(), "saving an identity was interrupted, and is completed now");
            }
        }
        Ok(Self::Directory { folder, access: directory.access, _lock: lock })
    }

    /// A Secret. Nothing is read yet.
    pub(crate) fn secret(secret: Secret) -> Self {
        Self::Secret(SecretStorage::new(secret))
    }

    pub(crate) fn memory() -> Self {
        Self::Memory(Mutex::new(None))
    }

    /// What to remove to say that a noted renewal never reached the server; `None` for memory.
    pub(crate) fn pending_note(&self) -> Option<String> {
        match self {
            Self::Directory { folder, .. } => Some(folder.path().join(PENDING).display().to_string()),
            Self::Secret(secret) => Some(secret.pending()),
            Self::Memory(_) => None,
        }
    }

    /// The stored identity; `None` when a file of it is missing or empty.
    pub(crate) fn load(&self) -> Result<Option<Stored>, StorageError> {
        match self {
            Self::Directory { folder, .. } => {
                parse(&folder.path().display().to_string(), |name| Ok(folder.read(name)?))
            }
            Self::Secret(secret) => {
                let files = secret.load()?;
                parse(&secret.place(), |name| Ok(files.get(name).cloned()))
            }
            Self::Memory(stored) => Ok(lock(stored).clone()),
        }
    }

    /// Sees whether a new identity could be saved: a renewal that is asked for and finds no room is lost.
    pub(crate) fn test_write(&self) -> Result<(), StorageError> {
        match self {
            Self::Directory { folder, .. } => Ok(folder.test_room(ROOM)?),
            Self::Secret(secret) => Ok(secret.test_write()?),
            Self::Memory(_) => Ok(()),
        }
    }

    /// Saves durably. When this returns, the identity may be used.
    pub(crate) fn save(&self, identity: &Arc<Identity>, token_hash: &str) -> Result<(), StorageError> {
        match self {
            Self::Directory { folder, access, .. } => {
                // Nobody's access is worth an identity that is not saved.
                let grant = access.grant().map(|(grant, _)| grant.at_will()).unwrap_or_default();
                folder.commit(&files(identity, token_hash)?, &grant)?;
                Ok(folder.remove_mark(PENDING)?)
            }
            Self::Secret(secret) => {
                Ok(secret.save(kubernetes_secret::content(files(identity, token_hash)?))?)
            }
            Self::Memory(stored) => {
                let identity = Arc::clone(identity);
                *lock(stored) =
                    Some(Stored { identity, token_hash: token_hash.to_owned(), renewal_pending: false });
                Ok(())
            }
        }
    }

    /// Notes, durably, that a renewal is asked for with `identity`.
    pub(crate) fn note_renewal(&self, identity: &Identity) -> Result<(), StorageError> {
        match self {
            Self::Directory { folder, .. } => {
                let noted = folder.write_mark(PENDING, fingerprint(identity).as_bytes());
                if noted.is_err() {
                    // Nothing will be asked, so that a half-written note must not hold the agent back. Where it cannot
                    // be removed either, the next attempt meets the same disk.
                    let _ = folder.remove_mark(PENDING);
                }
                Ok(noted?)
            }
            Self::Secret(secret) => Ok(secret.note(fingerprint(identity))?),
            Self::Memory(stored) => {
                if let Some(stored) = lock(stored).as_mut() {
                    stored.renewal_pending = true;
                }
                Ok(())
            }
        }
    }

    /// Takes the note back: the server certainly did not act.
    pub(crate) fn forget_renewal(&self) -> Result<(), StorageError> {
        match self {
            Self::Directory { folder, .. } => Ok(folder.remove_mark(PENDING)?),
            Self::Secret(secret) => Ok(secret.forget()?),
            Self::Memory(stored) => {
                if let Some(stored) = lock(stored).as_mut() {
                    stored.renewal_pending = false;
                }
                Ok(())
            }
        }
    }
}

fn lock(stored: &Mutex<Option<Stored>>) -> MutexGuard<'_, Option<Stored>> {
    // A poisoned lock only says that another thread ended while it held a value that is still whole.
    stored.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An identity from its files; `None` when one is missing or empty.
fn parse(
    place: &str,
    read: impl Fn(&str) -> Result<Option<Vec<u8>>, StorageError>,
) -> Result<Option<Stored>, StorageError> {
    let bytes = read;
    let read = |name| -> Result<Option<String>, StorageError> {
        let content = bytes(name)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Ok(content.filter(|text| !text.is_empty()))
    };
    let ssh = match read(SSH_CERT)? {
        Some(ssh) => Some(ssh),
        None => read(OLD_SSH_CERT)?,
    };
    let required =
        (read(KEY)?, read(KEY_PUB)?, read(TLS_CERT)?, ssh, read(TLS_CAS)?, read(SSH_CAS)?, read(TOKEN_HASH)?);
    let (Some(key), Some(_), Some(tls), Some(ssh), Some(tls_cas), Some(ssh_cas), Some(token_hash)) = required
    else {
        return Ok(None);
    };
    let split = |joined: String| joined.split(CA_SEPARATOR).map(str::to_owned).collect();
    let certs = SignedCerts { tls, ssh, tls_cas: split(tls_cas), ssh_cas: split(ssh_cas) };
    let identity = KeyPair::from_pem(&key)
        .map_err(IdentityError::from)
        .and_then(|key| Identity::new(key, certs))
        .map_err(|error| StorageError::Damaged { place: place.to_owned(), error })?;
    let noted = bytes(PENDING)?;
    // A torn note never got as far as fsync, and nothing is asked before that.
    let renewal_pending = noted.is_some_and(|noted| noted == fingerprint(&identity).as_bytes());
    Ok(Some(Stored { identity: identity.into(), token_hash: token_hash.trim().to_owned(), renewal_pending }))
}

fn fingerprint(identity: &Identity) -> String {
    sha256_hex(&identity.user.der)
}

fn files(identity: &Identity, token_hash: &str) -> Result<Vec<NewFile>, StorageError> {
    let certs = &identity.certs;
    let key_pub = identity.key.ssh_line().map_err(|error| FolderError::Io {
        doing: "encode",
        path: KEY_PUB.into(),
        error: std::io::Error::other(error),
        hint: "",
    })?;
    let files = [
        (KEY, identity.key.private_pem().to_owned()),
        (KEY_PUB, key_pub),
        (TLS_CERT, certs.tls.clone()),
        (SSH_CERT, certs.ssh.clone()),
        (TLS_CAS, certs.tls_cas.join(CA_SEPARATOR)),
        (SSH_CAS, certs.ssh_cas.join(CA_SEPARATOR)),
        (TOKEN_HASH, token_hash.to_owned()),
    ];
    Ok(files.into_iter().map(|(name, content)| (name.to_owned(), content.into_bytes())).collect())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::agent::recordings::{recorded, recorded_folder};

    fn open(path: &Path) -> Storage {
        Storage::directory(Directory::at(path)).unwrap()
    }

    fn load(storage: &Storage) -> Stored {
        storage.load().unwrap().expect("an identity is stored")
    }

    #[test]
    fn the_storage_of_the_go_agent_is_taken_over_and_handed_back_unchanged() {
        let root = recorded_folder("storage");
        let storage = open(root.path());
        let stored = load(&storage);
        assert_eq!(stored.identity.user.generation, Some(2));
        assert_eq!(stored.token_hash, recorded("storage/tokenhash"));
        assert!(!stored.renewal_pending);

        storage.save(&stored.identity, &stored.token_hash).unwrap();
        for name in [KEY, KEY_PUB, TLS_CERT, SSH_CERT, TLS_CAS, SSH_CAS, TOKEN_HASH] {
            let ours = std::fs::read_to_string(root.path().join(name)).unwrap();
            assert_eq!(ours, recorded(&format!("storage/{name}")), "{name}");
        }
    }

    #[test]
    fn an_incomplete_identity_is_none_and_a_mixed_one_is_damaged() {
        let root = recorded_folder("storage");
        let storage = open(root.path());
        std::fs::write(root.path().join(TLS_CAS), "").unwrap();
        assert!(storage.load().unwrap().is_none());
        std::fs::write(root.path().join(TLS_CAS), recorded("storage/tlscacerts")).unwrap();
        std::fs::write(root.path().join(KEY), recorded("outputs/identity/key")).unwrap();
        assert!(matches!(storage.load(), Err(StorageError::Damaged { .. })));
    }

    #[test]
    fn a_noted_renewal_outlives_the_process_until_another_identity_is_stored() {
        let root = recorded_folder("storage");
        let storage = open(root.path());
        storage.note_renewal(&load(&storage).identity).unwrap();
        drop(storage);

        let storage = open(root.path());
        let stored = load(&storage);
        assert!(stored.renewal_pending);
        storage.forget_renewal().unwrap();
        assert!(!load(&storage).renewal_pending);

        // The note of another certificate, as when the Go agent has renewed since, is void; so is a torn one.
        for void in ["00", ""] {
            std::fs::write(root.path().join(PENDING), void).unwrap();
            assert!(!load(&storage).renewal_pending);
        }
        storage.note_renewal(&stored.identity).unwrap();
        storage.save(&stored.identity, &stored.token_hash).unwrap();
        assert!(!load(&storage).renewal_pending);
    }

    #[test]
    fn memory_forgets_nothing_while_it_lives() {
        let root = recorded_folder("storage");
        let stored = load(&open(root.path()));
        let memory = Storage::memory();
        assert!(memory.load().unwrap().is_none());
        memory.save(&Arc::clone(&stored.identity), "hash").unwrap();
        memory.note_renewal(&stored.identity).unwrap();
        let kept = load(&memory);
        assert_eq!((kept.token_hash.as_str(), kept.renewal_pending), ("hash", true));
    }
}
