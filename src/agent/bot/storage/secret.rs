//! Stores the bot's identity in a Kubernetes Secret, with the same files and the same marker as in a directory.
//!
//! There is no lock. Instead, the marker is written only if the Secret has not changed since it was read, so that only
//! one of two agents requests a renewal. The new identity replaces the old one and its marker in one request.
//!
//! The marker also names the process that wrote it. If a request to change the marker fails, its response may have been lost, and
//! the Secret may contain a marker of this process although it requested no renewal. Only that one is ignored: the marker of
//! another agent is in effect.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use super::format::{RENEWAL_MARKER, fingerprint};
use crate::agent::bot::bound_keys::BOUND_KEY_FILES;
use crate::agent::credential::identity::Identity;
use crate::agent::destination::kubernetes_secret::{KubernetesSecretError, SecretClient, SecretContent};
use crate::agent::platform::hex::hex;
use crate::agent::platform::lock::lock;

/// A Secret, and its content when it was last read or written.
#[derive(Debug)]
pub(crate) struct SecretStorage {
    secret: SecretClient,
    last_seen: Mutex<SecretContent>,
    /// The end of every marker that this process writes.
    marker_suffix: String,
    /// A request to change the marker failed, so the Secret may contain a marker of this process although it requested no renewal.
    ignore_own_marker: AtomicBool,
}

impl SecretStorage {
    pub(crate) fn new(secret: SecretClient) -> Self {
        let mut process = [0; 16];
        // If this fails, this agent cannot distinguish its markers from those of another agent for which it failed, too.
        let _ = getrandom::fill(&mut process);
        Self {
            secret,
            last_seen: Mutex::default(),
            marker_suffix: format!(" {}", hex(process)),
            ignore_own_marker: AtomicBool::new(false),
        }
    }

    /// Returns the location of the renewal marker, for messages.
    pub(crate) fn renewal_marker_location(&self) -> String {
        format!("the entry {RENEWAL_MARKER} of {}", self.secret.name())
    }

    /// Returns the name of the Secret, for messages.
    pub(crate) fn location(&self) -> String {
        self.secret.name().to_string()
    }

    pub(crate) fn load(&self) -> Result<BTreeMap<String, Vec<u8>>, KubernetesSecretError> {
        let content = self.secret.read()?.unwrap_or_default();
        *self.lock_last_seen() = content.clone();
        let mut files = content.files;
        if self.ignore_own_marker.load(Ordering::Relaxed) {
            let is_own = |marker: &Vec<u8>| marker.ends_with(self.marker_suffix.as_bytes());
            files.retain(|name, content| name != RENEWAL_MARKER || !is_own(content));
        }
        Ok(files)
    }

    /// Reads the files, among them those of the key pairs. A change since [`load`](Self::load) is noticed when the marker is written.
    pub(crate) fn load_keys(&self) -> Result<BTreeMap<String, Vec<u8>>, KubernetesSecretError> {
        Ok(self.secret.read()?.unwrap_or_default().files)
    }

    pub(crate) fn test_write(&self) -> Result<(), KubernetesSecretError> {
        self.secret.test_write()
    }

    /// Replaces the identity, and removes the marker. Key pairs that are not among the files stay.
    pub(crate) fn save(&self, identity: BTreeMap<String, Vec<u8>>) -> Result<(), KubernetesSecretError> {
        let mut files = self.lock_last_seen().files.clone();
        files.retain(|name, _| BOUND_KEY_FILES.contains(&name.as_str()));
        files.extend(identity);
        let version = self.secret.write(&files, None)?;
        *self.lock_last_seen() = SecretContent { files, version };
        self.ignore_own_marker.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Replaces the key pairs if the Secret has not changed since it was last seen.
    pub(crate) fn save_keys(&self, keys: BTreeMap<String, Vec<u8>>) -> Result<(), KubernetesSecretError> {
        let SecretContent { mut files, version } = self.lock_last_seen().clone();
        files.extend(keys);
        // Without a version, there was no Secret.
        let seen = Some(version.as_str()).filter(|version| !version.is_empty());
        let version = self.secret.write(&files, seen)?;
        *self.lock_last_seen() = SecretContent { files, version };
        Ok(())
    }

    /// Writes the marker for a renewal with `identity`.
    pub(crate) fn write_marker(&self, identity: &Identity) -> Result<(), KubernetesSecretError> {
        let marker = fingerprint(identity) + &self.marker_suffix;
        self.update(|files| files.insert(RENEWAL_MARKER.to_owned(), marker.into_bytes()))
    }

    pub(crate) fn remove_marker(&self) -> Result<(), KubernetesSecretError> {
        self.update(|files| files.remove(RENEWAL_MARKER))
    }

    /// Changes the marker if the Secret has not changed since it was last seen. If the request fails, a marker of this process is
    /// ignored until the next request that succeeds.
    fn update<T>(
        &self,
        change: impl FnOnce(&mut BTreeMap<String, Vec<u8>>) -> T,
    ) -> Result<(), KubernetesSecretError> {
        let SecretContent { mut files, version } = self.lock_last_seen().clone();
        change(&mut files);
        self.ignore_own_marker.store(true, Ordering::Relaxed);
        let version = self.secret.write(&files, Some(&version))?;
        *self.lock_last_seen() = SecretContent { files, version };
        self.ignore_own_marker.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn lock_last_seen(&self) -> MutexGuard<'_, SecretContent> {
        lock(&self.last_seen)
    }
}
