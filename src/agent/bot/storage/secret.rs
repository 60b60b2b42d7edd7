//! The bot's identity in a Kubernetes Secret: the same files and the same note as in a folder. One I/O edge, through
//! `kube`.
//!
//! There is no lock. But the note is written only where nobody has changed the Secret since it was read, so that of two
//! agents only one asks for a renewal; and the answer is saved and the note removed in one request.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::PENDING;
use crate::agent::destination::kubernetes_secret::{Content, KubeError, Secret};

/// A Secret, and what it held when it was last read or written.
#[derive(Debug)]
pub(crate) struct SecretStorage {
    secret: Secret,
    known: Mutex<Content>,
    /// A note could not be written for sure. Nothing was asked then, so that it says nothing if it is there all the same.
    note_is_void: AtomicBool,
}

impl SecretStorage {
    pub(crate) fn new(secret: Secret) -> Self {
        Self { secret, known: Mutex::default(), note_is_void: AtomicBool::new(false) }
    }

    /// The entry whose removal says that a noted renewal never reached the server.
    pub(crate) fn pending(&self) -> String {
        format!("the entry {PENDING} of {}", self.secret.name())
    }

    pub(crate) fn place(&self) -> String {
        self.secret.name().to_string()
    }

    pub(crate) fn load(&self) -> Result<BTreeMap<String, Vec<u8>>, KubeError> {
        let content = self.secret.read()?.unwrap_or_default();
        *self.known() = content.clone();
        let mut files = content.files;
        if self.note_is_void.load(Ordering::Relaxed) {
            files.remove(PENDING);
        }
        Ok(files)
    }

    pub(crate) fn test_write(&self) -> Result<(), KubeError> {
        self.secret.test_write()
    }

    /// Replaces everything, the note included.
    pub(crate) fn save(&self, files: BTreeMap<String, Vec<u8>>) -> Result<(), KubeError> {
        let version = self.secret.write(&files, None)?;
        *self.known() = Content { files, version };
        self.note_is_void.store(false, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn note(&self, note: String) -> Result<(), KubeError> {
        self.change(|files| files.insert(PENDING.to_owned(), note.into_bytes()))
    }

    pub(crate) fn forget(&self) -> Result<(), KubeError> {
        self.change(|files| files.remove(PENDING))
    }

    /// Changes the note, where the Secret still is what it was when it was last seen. Until that is known to have
    /// worked, no note holds.
    fn change<T>(&self, change: impl FnOnce(&mut BTreeMap<String, Vec<u8>>) -> T) -> Result<(), KubeError> {
        let Content { mut files, version } = self.known().clone();
        change(&mut files);
        self.note_is_void.store(true, Ordering::Relaxed);
        let version = self.secret.write(&files, Some(&version))?;
        *self.known() = Content { files, version };
        self.note_is_void.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, Content> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
