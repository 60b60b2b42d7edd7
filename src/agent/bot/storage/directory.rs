//! Stores the bot's identity in a directory, which may be replaced while the agent runs: removed, restored from a copy, moved, or
//! mounted over.
//!
//! The agent keeps the directory open and locked. Before it uses it, it compares it with the directory at the configured path. If that
//! is another one, or missing, the agent moves there:
//!
//! 1. It opens or creates the directory, and locks it. If this fails, for example because another agent uses that directory, the agent
//!    reports it, and neither requests nor saves anything.
//! 2. It compares the identity in that directory with the one that it has read or saved last. If there is none, or an older one of the
//!    same user, it saves the last one there: in one set with its key pairs and, if its renewal is pending, with the marker. A newer
//!    identity stays, and so does another user's: the agent uses it from now on.
//! 3. Only then does it unlock the previous directory. If it goes on with the identity that is in that directory, or with a later one of
//!    the same user, it first writes the renewal marker there: an agent that is started there must not renew the identity, too. If the
//!    agent comes back before it has renewed the identity, it removes this marker.
//!
//! If the agent has already read an identity for a request, and the new directory has another one, it does not send the request, but
//! begins again. A directory of another user than before is refused, unless it belongs to the agent's user: its owner may have put it
//! there to get the keys.
//!
//! So neither this agent nor the next one presents a generation that the cluster has replaced, and no newer identity is overwritten.
//! If an older identity of the same user is restored into the directory itself, the agent saves the last one again, also if its files
//! were removed first. Files that are only removed are not restored: an operator may remove them to make the bot join.

mod known;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use super::error::StorageError;
use super::format::{
    IDENTITY_FILES, RENEWAL_MARKER, StoredIdentity, abandoned_marker, encode_all, fingerprint,
};
use crate::agent::bot::IDENTITY;
use crate::agent::bot::bound_keys::{BOUND_KEY_FILES, BoundKeys};
use crate::agent::credential::identity::Identity;
use crate::agent::destination::atomic_write::Recovery;
use crate::agent::destination::directory::storage_lock::StorageLock;
use crate::agent::destination::directory::{DirectoryError, DirectoryHandle};
use crate::agent::destination::readers::ReaderAccess;
use crate::agent::destination::reservation::Reservation;
use crate::agent::destination::target::DirectoryTarget;
use crate::agent::platform::error_text::error_line;
use crate::agent::platform::lock::lock;
use crate::agent::platform::reminders::RecurringWarnings;
use known::{
    Known, SECRET_FILES, best_effort, location, read_identity, read_key_files, replaces, without_empty,
};

/// A storage in a directory.
#[derive(Debug)]
pub(crate) struct DirectoryStorage {
    target: DirectoryTarget,
    warnings: RecurringWarnings,
    open: Mutex<OpenStorage>,
}

/// The directory that is open and locked.
#[derive(Debug)]
struct OpenStorage {
    directory: DirectoryHandle,
    /// The resources that saving the next identity needs.
    reserved: Option<Reserved>,
    known: Known,
    /// The last identity, if it has been removed from the directory since.
    removed: Option<Known>,
    /// The certificate of the identity that was stored when the test before a request was made.
    known_at_request: Option<Vec<u8>>,
    /// The user that the directory belonged to when it was opened.
    owner: u32,
    lock: Arc<StorageLock>,
}

#[derive(Debug)]
struct Reserved {
    reservation: Reservation,
    with_keys: bool,
}

impl DirectoryStorage {
    /// Opens and locks a directory, and completes or rolls back a save that a crash interrupted.
    pub(super) fn open(target: DirectoryTarget, warnings: RecurringWarnings) -> Result<Self, StorageError> {
        let open = OpenStorage::new(&target, target.open()?, None)?;
        Ok(Self { target, warnings, open: Mutex::new(open) })
    }

    /// Returns the location of the renewal marker.
    pub(super) fn renewal_marker_location(&self) -> String {
        self.target.path.join(RENEWAL_MARKER).display().to_string()
    }

    /// Returns the stored identity, or `None` if one of its files is missing or empty.
    pub(super) fn load(&self) -> Result<Option<StoredIdentity>, StorageError> {
        let mut open = self.follow()?;
        // Only a bot with key pairs needs them, and reads them itself.
        let key_files = read_key_files(&open.directory).unwrap_or_else(|_| open.known.key_files.clone());
        let found = Known { identity: read_identity(&open.directory)?, key_files };
        if found.is_outdated_by(open.latest()) {
            let reserved = open.release_reserved();
            let merged = open.latest().merge(found, &open.directory, &self.target.access)?.0;
            open.set_known(merged);
            tracing::warn!(
                storage = %self.target.path.display(),
                "an older identity was restored while the agent was running: saved the bot's identity again"
            );
            if let Some(with_keys) = reserved {
                open.reserve(&self.target.access, with_keys)?;
            }
        } else {
            open.set_known(found);
        }
        Ok(open.known.identity.clone())
    }

    /// Returns the key pairs. Empty if there are none.
    pub(super) fn load_keys(&self) -> Result<BoundKeys, StorageError> {
        let open = self.follow_same_identity()?;
        let files = read_key_files(&open.directory)?;
        BoundKeys::decode(&files.into_iter().collect())
            .map_err(|error| StorageError::DamagedKeys { location: location(&open.directory), error })
    }

    /// Saves the key pairs durably. What was reserved is reserved again.
    pub(super) fn save_keys(&self, keys: &BoundKeys) -> Result<(), StorageError> {
        let mut open = self.follow_same_identity()?;
        let was_reserved = open.release_reserved().is_some();
        let files = keys.encode()?;
        open.directory.commit(&files, &best_effort(&self.target.access))?;
        open.known.key_files = without_empty(files);
        if was_reserved { open.reserve(&self.target.access, true) } else { Ok(()) }
    }

    /// Tests whether a new identity can be saved, together with key pairs if `with_keys`, and reserves what saving it needs.
    pub(super) fn test_write(&self, with_keys: bool) -> Result<(), StorageError> {
        let mut open = self.follow_same_identity()?;
        open.known_at_request = open.known.certificate();
        open.reserve(&self.target.access, with_keys)
    }

    /// Saves an identity durably, in one set with the key pairs that it was obtained with, if any, and removes the renewal marker.
    pub(super) fn save(
        &self,
        identity: &Arc<Identity>,
        token_hash: &str,
        keys: Option<&BoundKeys>,
    ) -> Result<(), StorageError> {
        let mut open = self.follow()?;
        if let Some(stored) = &open.known.identity
            && open.known.certificate() != open.known_at_request
            && stored.identity.user.der != identity.user.der
            && !replaces(identity, &stored.identity)
        {
            tracing::warn!(
                storage = %self.target.path.display(),
                "not saving the identity that was just issued: the storage now contains a newer one, or that of another bot"
            );
            return Ok(());
        }
        let files = encode_all(identity, token_hash, keys)?;
        let reserved = open.reserved.take();
        let is_saved = reserved.is_some_and(|reserved| {
            let saved = open.directory.commit_reserved(reserved.reservation, &files);
            saved
                .inspect_err(|error| {
                    tracing::debug!("saving again: {}", error_line(error, error.hint().as_ref()));
                })
                .is_ok()
        });
        if !is_saved {
            open.directory.commit(&files, &best_effort(&self.target.access))?;
        }
        open.known.identity = Some(StoredIdentity {
            identity: Arc::clone(identity),
            token_hash: token_hash.to_owned(),
            renewal_pending: false,
            used_elsewhere: false,
        });
        open.removed = None;
        if let Some(keys) = keys {
            open.known.key_files = without_empty(keys.encode()?);
        }
        // The identity is saved, and the marker has no effect on it.
        if let Err(error) = open.directory.remove_file(RENEWAL_MARKER) {
            let error = error_line(&error, error.hint().as_ref());
            self.warnings.warn(
                IDENTITY,
                format_args!("saved the identity, but not everything was cleaned up: {error}"),
            );
        }
        Ok(())
    }

    /// Stores the renewal marker durably, before a renewal with `identity` is requested.
    pub(super) fn mark_renewal_pending(&self, identity: &Identity) -> Result<(), StorageError> {
        let mut open = self.follow_same_identity()?;
        let written = open.directory.write_marker(RENEWAL_MARKER, fingerprint(identity).as_bytes());
        if written.is_err() {
            // No renewal will be requested, so a partially written marker must not suspend renewals. If it
            // cannot be removed either, the next attempt fails in the same way.
            let _ = open.directory.remove_file(RENEWAL_MARKER);
        }
        open.set_pending(written.is_ok());
        Ok(written?)
    }

    /// Removes the renewal marker, after a renewal that the server certainly did not perform. The marker of another identity in another
    /// directory stays.
    pub(super) fn clear_renewal_pending(&self) -> Result<(), StorageError> {
        let mut open = match self.follow_same_identity() {
            Err(StorageError::OtherIdentity(_)) => return Ok(()),
            open => open?,
        };
        open.release_reserved();
        open.directory.remove_file(RENEWAL_MARKER)?;
        open.set_pending(false);
        Ok(())
    }

    /// Returns the directory at the path, after moving there if it is not the one that is open.
    fn follow(&self) -> Result<MutexGuard<'_, OpenStorage>, StorageError> {
        let mut open = lock(&self.open);
        if !open.directory.is_at_its_path() {
            let directory = self.target.open()?;
            // Not if only the look-up has failed.
            if !directory.is_same_as(&open.directory) {
                self.move_to(&mut open, directory).map_err(|error| StorageError::Replaced {
                    path: self.target.path.clone(),
                    error: Box::new(error),
                })?;
                return Ok(open);
            }
        }
        // A restored copy may have replaced the file, which another agent could lock then.
        if !open.lock.is_of(&open.directory) {
            open.lock = Arc::new(open.directory.lock_storage()?);
        }
        Ok(open)
    }

    /// Like [`follow`](Self::follow), but fails if the identity is another one than before.
    fn follow_same_identity(&self) -> Result<MutexGuard<'_, OpenStorage>, StorageError> {
        let before = lock(&self.open).known.certificate();
        let open = self.follow()?;
        if open.known.certificate() == before {
            Ok(open)
        } else {
            Err(StorageError::OtherIdentity(self.target.path.clone()))
        }
    }

    fn move_to(&self, open: &mut OpenStorage, directory: DirectoryHandle) -> Result<(), StorageError> {
        let owner = directory.owner()?;
        // If the previous directory is gone, its owner was the one that it had at first.
        let previous = open.directory.owner().unwrap_or(open.owner);
        if owner != previous && !directory.is_owned_by_agent()? {
            return Err(DirectoryError::OwnerChanged { path: self.target.path.clone(), owner }.into());
        }
        // With hard links, both directories may have the same lock.
        let shared = open.lock.is_of(&directory).then(|| Arc::clone(&open.lock));
        let mut new = OpenStorage::new(&self.target, directory, shared)?;
        let found = Known::read(&new.directory)?;
        let last = if found.identity.is_some() { open.latest() } else { &open.known };
        let (known, is_saved) = last.merge(found, &new.directory, &self.target.access)?;
        new.known = known;
        new.known_at_request = open.known_at_request.clone();
        if let Some(with_keys) = open.release_reserved() {
            new.reserve(&self.target.access, with_keys)?;
        }
        tracing::warn!(
            storage = %self.target.path.display(),
            "the storage directory was replaced while the agent was running: {}",
            if is_saved { "saved the bot's identity in the new one" } else { "using the new one" }
        );
        if let Err(error) = open.mark_abandoned(&new.known) {
            tracing::warn!(
                storage = %self.target.path.display(),
                "do not use the previous storage directory again if the bot joins with token or bound_keypair: the agent cannot mark the \
                 identity in it as used elsewhere: {error}"
            );
        }
        // The directory can be the same one, mounted once more. A marker that was in it before stays.
        let had_marker = new.known.identity.as_ref().is_some_and(|stored| stored.renewal_pending);
        if !had_marker && read_identity(&new.directory)?.is_some_and(|stored| stored.used_elsewhere) {
            new.directory.remove_file(RENEWAL_MARKER)?;
        }
        let previous = std::mem::replace(open, new);
        if open.known.identity.is_none() {
            open.removed = previous.removed.or(Some(previous.known)).filter(|last| last.identity.is_some());
        }
        Ok(())
    }
}

impl Drop for DirectoryStorage {
    fn drop(&mut self) {
        lock(&self.open).release_reserved();
    }
}

impl OpenStorage {
    /// Locks a directory unless `lock` is its lock already, and recovers from a crash.
    fn new(
        target: &DirectoryTarget,
        directory: DirectoryHandle,
        lock: Option<Arc<StorageLock>>,
    ) -> Result<Self, StorageError> {
        let path = target.path.as_path();
        directory.test_write()?;
        let lock = match lock {
            Some(lock) => lock,
            None => Arc::new(directory.lock_storage()?),
        };
        for name in SECRET_FILES.iter().filter(|name| directory.exposure_of(name).is_some()) {
            tracing::warn!(
                storage = %path.display(),
                "every user can read {name}, which contains a secret of the bot: the agent removes that permission, but a user who \
                 has read it can act as the bot"
            );
        }
        if directory.is_writable_by_others()? {
            tracing::warn!(
                storage = %path.display(),
                "every user may write to the storage, and can remove or replace the bot's identity: remove that permission \
                 (chmod o-w)"
            );
        }
        let owner = directory.owner()?;
        if rustix::process::geteuid().is_root() && owner != 0 {
            tracing::info!(
                storage = %path.display(),
                owner,
                "running as root: new files of the storage will belong to the owner of its directory"
            );
        }
        if let Some(problem) = target.test_access()? {
            tracing::warn!(storage = %path.display(), "{}", error_line(&problem, problem.hint().as_ref()));
        }
        match directory.recover()? {
            Recovery::NotNeeded => {}
            Recovery::RolledBack => {
                tracing::info!(storage = %path.display(), "removed what an interrupted renewal had prepared");
            }
            Recovery::Completed => {
                tracing::warn!(storage = %path.display(), "completed an interrupted save of the identity");
            }
        }
        let known = Known::default();
        Ok(Self { directory, reserved: None, known, removed: None, known_at_request: None, owner, lock })
    }

    /// Returns what was known last, or before the identity was removed.
    fn latest(&self) -> &Known {
        self.removed.as_ref().unwrap_or(&self.known)
    }

    fn set_known(&mut self, known: Known) {
        let previous = std::mem::replace(&mut self.known, known);
        if self.known.identity.is_some() {
            self.removed = None;
        } else if previous.identity.is_some() {
            self.removed = Some(previous);
        }
    }

    fn reserve(&mut self, access: &ReaderAccess, with_keys: bool) -> Result<(), StorageError> {
        self.release_reserved();
        let keys: &[_] = if with_keys { &BOUND_KEY_FILES } else { &[] };
        let files = [&IDENTITY_FILES, keys].concat();
        let reservation = self.directory.reserve(&files, &best_effort(access))?;
        self.reserved = Some(Reserved { reservation, with_keys });
        Ok(())
    }

    /// Releases what was reserved, and returns whether it included key pairs. `None` if nothing was reserved.
    fn release_reserved(&mut self) -> Option<bool> {
        let Reserved { reservation, with_keys } = self.reserved.take()?;
        self.directory.release(reservation);
        Some(with_keys)
    }

    /// Stores the renewal marker in this directory if the agent goes on in another one with the identity `next`, which is the same or
    /// its successor. Not an error if the directory is gone.
    fn mark_abandoned(&self, next: &Known) -> Result<(), io::Error> {
        let (Some(left), Some(next)) = (&self.known.identity, &next.identity) else { return Ok(()) };
        let is_same = left.identity.user.der == next.identity.user.der;
        if left.renewal_pending || !(is_same || replaces(&next.identity, &left.identity)) {
            return Ok(());
        }
        match self.directory.write_marker(RENEWAL_MARKER, abandoned_marker(&left.identity).as_bytes()) {
            Err(DirectoryError::Io { error, .. }) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::StaleNetworkFileHandle => Ok(()),
                // Not with the path, where another directory is now.
                _ => Err(error),
            },
            written => written.map_err(io::Error::other),
        }
    }

    fn set_pending(&mut self, is_pending: bool) {
        if let Some(stored) = &mut self.known.identity {
            stored.renewal_pending = is_pending;
        }
    }
}

#[cfg(test)]
mod tests;
