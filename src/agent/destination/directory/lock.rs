//! Serialises changes to a directory with an exclusive lock on a private file.
//!
//! The lock is neither on the directory itself nor on a file that readers may open: `flock(2)` needs no permission
//! beyond an open descriptor, so a reader could hold it forever and block every renewal.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, Once};
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::{DirectoryError, DirectoryHandle, lock_holder};
use crate::agent::platform::lock::lock;

/// Empty, and never removed: otherwise two processes could each lock a different file of this name.
pub(in crate::agent::destination) const LOCK_FILE: &str = ".tbot-lock";

/// How long the agent waits for another process that changes the directory.
const TIMEOUT: LockTimeout =
    LockTimeout { notice: Duration::from_secs(5), limit: Duration::from_secs(60), poll: POLL };

/// How long to wait before the next attempt to take a lock.
pub(super) const POLL: Duration = Duration::from_millis(10);

/// The exclusive lock for changes to a directory, held until dropped.
#[derive(Debug)]
#[must_use = "dropping it releases the lock"]
pub(in crate::agent) struct DirectoryLock(
    #[expect(dead_code, reason = "closing the file releases the lock")] OwnedFd,
);

/// The lock file, open and not locked.
#[derive(Debug)]
pub(in crate::agent) struct LockFile(OwnedFd);

/// How long to wait for a lock.
struct LockTimeout {
    /// How long to wait before the log says so.
    notice: Duration,
    /// How long to wait before giving up.
    limit: Duration,
    poll: Duration,
}

impl DirectoryHandle {
    /// Waits until no other output or agent changes files here, and keeps them out until the lock is dropped.
    ///
    /// If the file system does not support locks, the directory is changed without one.
    ///
    /// # Errors
    ///
    /// Returns [`DirectoryError::Busy`] if another process keeps the lock for a minute, and [`DirectoryError::OwnerChanged`] if it
    /// gave the directory to another user meanwhile, as `tbot init` does: the caller has decided for the old owner how to write.
    pub(in crate::agent) fn lock_for_update(&self) -> Result<DirectoryLock, DirectoryError> {
        self.lock_file(self.open_lock_file()?)
    }

    /// Opens the lock file, so that [`lock_file`](Self::lock_file) needs no further descriptor. Refuses a file that
    /// another user has planted.
    pub(in crate::agent) fn open_lock_file(&self) -> Result<LockFile, DirectoryError> {
        Ok(LockFile(self.open_to_lock(LOCK_FILE)?.into()))
    }

    /// Does the work of [`lock_for_update`](Self::lock_for_update) with an open lock file.
    pub(in crate::agent) fn lock_file(&self, file: LockFile) -> Result<DirectoryLock, DirectoryError> {
        self.wait_for_lock(&file.0, &TIMEOUT, try_lock)?;
        Ok(DirectoryLock(file.0))
    }

    /// Takes the lock with an open lock file if it is free, and returns `None` otherwise.
    pub(in crate::agent) fn try_lock_file(&self, file: LockFile) -> Option<DirectoryLock> {
        match try_lock(&file.0) {
            Err(Errno::WOULDBLOCK) => None,
            _ => Some(DirectoryLock(file.0)),
        }
    }

    fn wait_for_lock(
        &self,
        file: &OwnedFd,
        timeout: &LockTimeout,
        try_lock: impl Fn(&OwnedFd) -> Result<(), Errno>,
    ) -> Result<(), DirectoryError> {
        static UNSUPPORTED: Once = Once::new();
        let path = self.path().join(LOCK_FILE);
        let owner = self.owner()?;
        let started = Instant::now();
        let mut is_silent = true;
        loop {
            match try_lock(file) {
                Ok(()) => {
                    waits().remove(&path);
                    return self.refuse_other_owner(owner);
                }
                Err(Errno::WOULDBLOCK | Errno::INTR) => {}
                Err(error) => {
                    UNSUPPORTED.call_once(|| {
                        tracing::warn!(
                            file = %path.display(),
                            "changing directories without a lock, because the file system does not support locks ({error}): \
                             no other output or agent may write to the same directory"
                        );
                    });
                    return Ok(());
                }
            }
            let waited = started.elapsed();
            if waited >= timeout.limit {
                return Err(DirectoryError::Busy { path, holder: lock_holder::find(file) });
            }
            if is_silent && waited >= timeout.notice {
                is_silent = false;
                if waits().insert(path.clone()) {
                    let holder = lock_holder::find(file).map(tracing::field::display);
                    tracing::warn!(file = %path.display(), holder, "waiting for a process that holds the lock of a directory");
                }
            }
            pause(timeout.poll);
        }
    }

    fn refuse_other_owner(&self, expected: u32) -> Result<(), DirectoryError> {
        let owner = self.owner()?;
        if owner == expected {
            return Ok(());
        }
        Err(DirectoryError::OwnerChanged { path: self.path().to_owned(), owner })
    }
}

/// Waits before the next attempt to take a lock.
#[expect(clippy::disallowed_methods, reason = "flock(2) either waits without a limit or not at all")]
pub(super) fn pause(poll: Duration) {
    std::thread::sleep(poll);
}

fn try_lock(file: &OwnedFd) -> Result<(), Errno> {
    rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive)
}

/// The lock files that the log says this process waits for, so that it says so once, and not at every retry.
fn waits() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    static WAITS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    lock(&WAITS)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::Path;

    use rustix::fs::Mode;

    use super::*;
    use crate::agent::platform::regular_file::Obstacle;
    use crate::config::SymlinkMode;

    /// Ends a wait at once.
    const EXPIRED: LockTimeout =
        LockTimeout { notice: Duration::ZERO, limit: Duration::ZERO, poll: Duration::ZERO };

    fn open(path: &Path) -> DirectoryHandle {
        DirectoryHandle::open(path, SymlinkMode::TrySecure).unwrap()
    }

    fn is_unlocked(path: &Path) -> bool {
        let other = File::open(path.join(LOCK_FILE)).unwrap();
        rustix::fs::flock(&other, FlockOperation::NonBlockingLockExclusive).is_ok()
    }

    #[test]
    fn the_lock_is_exclusive_until_dropped() {
        let root = tempfile::tempdir().unwrap();
        let lock = open(root.path()).lock_for_update().unwrap();
        assert!(!is_unlocked(root.path()));
        drop(lock);
        assert!(is_unlocked(root.path()));
    }

    #[test]
    fn a_reader_cannot_block_a_renewal() {
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let reader = File::open(root.path()).unwrap();
        rustix::fs::flock(&reader, FlockOperation::NonBlockingLockExclusive).unwrap();
        drop(open(root.path()).lock_for_update().unwrap());
        let mode = || fs::metadata(root.path().join(LOCK_FILE)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        fs::set_permissions(root.path().join(LOCK_FILE), fs::Permissions::from_mode(0o644)).unwrap();
        drop(open(root.path()).lock_for_update().unwrap());
        assert_eq!(mode(), 0o600);
    }

    #[test]
    fn a_directory_is_changed_without_a_lock_only_if_the_file_system_does_not_support_locks() {
        let root = tempfile::tempdir().unwrap();
        let directory = open(root.path());
        let file = directory.open_lock_file().unwrap();
        for error in [Errno::NOLCK, Errno::NOTSUP, Errno::NOSYS, Errno::INVAL] {
            directory.wait_for_lock(&file.0, &EXPIRED, |_| Err(error)).unwrap();
        }
        for error in [Errno::WOULDBLOCK, Errno::INTR] {
            directory.wait_for_lock(&file.0, &EXPIRED, |_| Err(error)).unwrap_err();
        }
    }

    #[test]
    fn a_lock_that_is_never_released_is_an_error_that_names_its_holder() {
        let root = tempfile::tempdir().unwrap();
        let _lock = open(root.path()).lock_for_update().unwrap();
        let directory = open(root.path());
        let file = directory.open_lock_file().unwrap();
        match directory.wait_for_lock(&file.0, &EXPIRED, try_lock).unwrap_err() {
            DirectoryError::Busy { path, holder } => {
                assert_eq!(path, root.path().join(LOCK_FILE));
                // The list of locks of another user's or container's process may be hidden.
                let id = holder.map(|holder| holder.process_id);
                assert!(id.is_none_or(|id| id == std::process::id()), "{id:?}");
            }
            error => panic!("{error:?}"),
        }
    }

    #[test]
    #[ignore = "needs root"]
    fn a_directory_that_gets_another_owner_during_the_wait_is_not_changed() {
        let root = tempfile::tempdir().unwrap();
        let directory = open(root.path());
        let file = directory.open_lock_file().unwrap();
        let chown_and_lock = |file: &OwnedFd| {
            std::os::unix::fs::chown(root.path(), Some(1), None).unwrap();
            try_lock(file)
        };
        match directory.wait_for_lock(&file.0, &EXPIRED, chown_and_lock).unwrap_err() {
            error @ DirectoryError::OwnerChanged { owner: 1, .. } => {
                assert!(!error.is_transient() && error.hint().is_some());
            }
            error => panic!("{error:?}"),
        }
        // Given to the agent, as a first installation does: the next attempt needs nobody's help.
        let give_and_lock = |file: &OwnedFd| {
            std::os::unix::fs::chown(root.path(), Some(0), None).unwrap();
            try_lock(file)
        };
        let error = directory.wait_for_lock(&file.0, &EXPIRED, give_and_lock).unwrap_err();
        assert!(matches!(error, DirectoryError::OwnerChanged { owner: 0, .. }), "{error:?}");
        assert!(error.is_transient() && error.hint().is_none());
        drop(file);
        // The next caller decides for the new owner.
        drop(directory.lock_for_update().unwrap());
    }

    #[test]
    fn a_planted_lock_file_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let [victim, lock_file] = ["victim", LOCK_FILE].map(|name| root.path().join(name));
        fs::write(&victim, "whole").unwrap();
        let refused = || {
            let error = open(root.path()).lock_for_update().unwrap_err();
            let _ = fs::remove_file(&lock_file).or_else(|_| fs::remove_dir(&lock_file));
            match error {
                DirectoryError::Obstructed { path, obstacle } if path == lock_file => obstacle,
                error => panic!("{error:?}"),
            }
        };
        symlink(&victim, &lock_file).unwrap();
        assert_eq!(refused(), Obstacle::SymbolicLink);
        fs::hard_link(&victim, &lock_file).unwrap();
        assert_eq!(refused(), Obstacle::HardLinkedFile);
        rustix::fs::mkfifoat(rustix::fs::CWD, &lock_file, Mode::RWXU).unwrap();
        assert_eq!(refused(), Obstacle::SpecialFile);
        fs::create_dir(&lock_file).unwrap();
        assert_eq!(refused(), Obstacle::Directory);
        assert_eq!(fs::read_to_string(&victim).unwrap(), "whole");
        drop(open(root.path()).lock_for_update().unwrap());
    }
}
