//! The lock of the storage: only one agent at a time uses the identity of a bot.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, FlockOperation};
use rustix::io::Errno;

use super::lock::{POLL, pause};
use super::{DirectoryError, DirectoryHandle, is_same_file};

/// How long to wait for the lock of a storage.
const WAIT: Duration = Duration::from_millis(500);
/// The file that both this agent and the Go agent lock.
pub(in crate::agent) const STORAGE_LOCK_FILE: &str = "lock";

/// The lock on a storage directory, held until dropped.
#[derive(Debug)]
pub(crate) struct StorageLock(OwnedFd);

impl StorageLock {
    /// Returns whether this is the lock of a directory.
    pub(crate) fn is_of(&self, directory: &DirectoryHandle) -> bool {
        let held = rustix::fs::fstat(&self.0);
        let found = rustix::fs::statat(&directory.fd, STORAGE_LOCK_FILE, AtFlags::SYMLINK_NOFOLLOW);
        held.is_ok_and(|held| found.is_ok_and(|found| is_same_file(&held, &found)))
    }
}

impl DirectoryHandle {
    /// Takes an exclusive `flock(2)` on the file `lock`, as the Go agent does. Waits up to [`WAIT`]: an agent may be
    /// about to end, and a program that another thread starts holds a copy of the lock until it runs.
    ///
    /// # Errors
    ///
    /// Returns [`DirectoryError::Locked`] if another agent holds it.
    pub(crate) fn lock_storage(&self) -> Result<StorageLock, DirectoryError> {
        let file = self.open_to_lock(STORAGE_LOCK_FILE)?;
        let started = Instant::now();
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(StorageLock(file.into())),
                Err(Errno::WOULDBLOCK) if started.elapsed() < WAIT => {}
                Err(Errno::WOULDBLOCK) => return Err(DirectoryError::Locked(self.path.clone())),
                Err(error) => return Err(self.io_error("lock", STORAGE_LOCK_FILE, error)),
            }
            pause(POLL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SymlinkMode;

    #[test]
    fn only_one_agent_can_lock_a_storage() {
        let root = tempfile::tempdir().unwrap();
        let [first, second] =
            [0, 1].map(|_| DirectoryHandle::open(root.path(), SymlinkMode::TrySecure).unwrap());
        let lock = first.lock_storage().unwrap();
        assert!(matches!(second.lock_storage(), Err(DirectoryError::Locked(path)) if path == root.path()));
        drop(lock);
        second.lock_storage().unwrap();
    }
}
