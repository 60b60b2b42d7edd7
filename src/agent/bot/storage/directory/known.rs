//! The contents of a storage directory as the agent last read or saved them, compared and merged with those of another one.
//!
//! May read from and write to the directory that it is given. Must never lock or open one, or choose between directories.

use crate::agent::bot::bound_keys::{BOUND_KEY_FILES, SECRET_BOUND_KEY_FILES};
use crate::agent::bot::storage::error::StorageError;
use crate::agent::bot::storage::format::{KEY, RENEWAL_MARKER, StoredIdentity, encode, parse};
use crate::agent::credential::identity::Identity;
use crate::agent::destination::directory::DirectoryHandle;
use crate::agent::destination::permissions::ReaderGrant;
use crate::agent::destination::readers::ReaderAccess;
use crate::agent::destination::staging::NewFile;

/// The files that no user but the agent's may read, unless readers are configured.
pub(super) const SECRET_FILES: [&str; 4] = {
    let [key, history, state] = SECRET_BOUND_KEY_FILES;
    [KEY, key, history, state]
};

/// The identity and the key pairs that were last read from or saved in a directory.
#[derive(Default)]
pub(super) struct Known {
    pub(super) identity: Option<StoredIdentity>,
    pub(super) key_files: Vec<NewFile>,
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("...")
    }
}

impl Known {
    /// Returns the certificate of the identity, which identifies it.
    pub(super) fn certificate(&self) -> Option<Vec<u8>> {
        self.identity.as_ref().map(|stored| stored.identity.user.der.to_vec())
    }

    pub(super) fn read(directory: &DirectoryHandle) -> Result<Self, StorageError> {
        Ok(Self { identity: read_identity(directory)?, key_files: read_key_files(directory)? })
    }

    /// Returns true if both have an identity of the same user, and `known` has the later one.
    pub(super) fn is_outdated_by(&self, known: &Self) -> bool {
        let identities = (&known.identity, &self.identity);
        matches!(identities, (Some(known), Some(found)) if replaces(&known.identity, &found.identity))
    }

    /// Saves the identity, or the key pairs of a bot that has none yet, in a directory that contains `found`, unless that must not be
    /// overwritten. Returns what the directory contains then, and whether the identity was saved.
    pub(super) fn merge(
        &self,
        mut found: Self,
        directory: &DirectoryHandle,
        access: &ReaderAccess,
    ) -> Result<(Self, bool), StorageError> {
        let Some(known) = &self.identity else {
            // The server may know the key pairs already.
            if found.identity.is_none() && found.key_files.is_empty() && !self.key_files.is_empty() {
                directory.commit(&self.key_files, &best_effort(access))?;
                found.key_files.clone_from(&self.key_files);
            }
            return Ok((found, false));
        };
        let is_saved = match &mut found.identity {
            Some(stored) if stored.identity.user.der == known.identity.user.der => {
                if known.renewal_pending && !stored.renewal_pending {
                    directory.write_marker(RENEWAL_MARKER, known.marker().as_bytes())?;
                    (stored.renewal_pending, stored.used_elsewhere) = (true, known.used_elsewhere);
                } else if stored.used_elsewhere && !known.renewal_pending {
                    directory.remove_file(RENEWAL_MARKER)?;
                    (stored.renewal_pending, stored.used_elsewhere) = (false, false);
                }
                return Ok((found, false));
            }
            Some(stored) => replaces(&known.identity, &stored.identity),
            // Key pairs without an identity are those of a bot that has not joined with them.
            None => found.key_files.is_empty() || found.key_files == self.key_files,
        };
        if !is_saved {
            return Ok((found, false));
        }
        let mut files = encode(&known.identity, &known.token_hash)?;
        files.extend(self.key_files.iter().cloned());
        if known.renewal_pending {
            files.push((RENEWAL_MARKER.to_owned(), known.marker().into_bytes()));
        }
        directory.commit(&files, &best_effort(access))?;
        Ok((Self::read(directory)?, true))
    }
}

/// Returns whether `new` is a later identity of the same user.
pub(super) fn replaces(new: &Identity, old: &Identity) -> bool {
    let user = |identity: &Identity| (identity.user.username.clone(), identity.cluster().clone());
    let age = |identity: &Identity| (identity.user.not_before, identity.user.generation);
    user(new) == user(old) && age(new) > age(old)
}

pub(super) fn read_identity(directory: &DirectoryHandle) -> Result<Option<StoredIdentity>, StorageError> {
    parse(&location(directory), |name| Ok(directory.read(name)?))
}

/// Returns the files of key pairs that are not empty.
pub(super) fn read_key_files(directory: &DirectoryHandle) -> Result<Vec<NewFile>, StorageError> {
    let mut files = Vec::new();
    for name in BOUND_KEY_FILES {
        files.extend(directory.read(name)?.map(|content| (name.to_owned(), content)));
    }
    Ok(without_empty(files))
}

pub(super) fn without_empty(mut files: Vec<NewFile>) -> Vec<NewFile> {
    files.retain(|(_, content)| !content.is_empty());
    files
}

pub(super) fn location(directory: &DirectoryHandle) -> String {
    directory.path().display().to_string()
}

/// Returns a grant for the configured readers. Saving the identity matters more than granting them access to it.
pub(super) fn best_effort(access: &ReaderAccess) -> ReaderGrant {
    access.resolve().map(|(grant, _)| grant).unwrap_or_default().best_effort(&SECRET_FILES)
}
