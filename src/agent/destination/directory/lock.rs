//! Serialises changes to a directory with an exclusive lock on a private file.
//!
//! The lock is neither on the directory itself nor on a file that readers may open: `flock(2)` needs no permission
//! beyond an open descriptor, so a reader could hold it forever and block every renewal.

use std::os::fd::OwnedFd;

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::{DirectoryError, DirectoryHandle};

/// Empty, and never removed: otherwise two processes could each lock a different file of this name.
const LOCK_FILE: &str = ".tbot-lock";

/// The exclusive lock for changes to a directory, held until dropped.
#[derive(Debug)]
#[must_use = "dropping it releases the lock"]
pub(in crate::agent) struct DirectoryLock(
    #[expect(dead_code, reason = "closing the file releases the lock")] OwnedFd,
);

impl DirectoryHandle {
    /// Waits until no other output or agent changes files here, and keeps them out until the lock is dropped.
    ///
    /// If the file system does not support locks, the directory is changed without one.
    pub(in crate::agent) fn lock_for_update(&self) -> Result<DirectoryLock, DirectoryError> {
        let file = self.open_private(LOCK_FILE)?;
        if let Err(error) = rustix::fs::flock(&file, FlockOperation::LockExclusive) {
            tracing::debug!(directory = %self.path().display(), "cannot lock {LOCK_FILE}: {error}");
        }
        Ok(DirectoryLock(file))
    }

    /// Opens a file that only its owner may open, and creates it if it is missing. Refuses a file that another
    /// user has planted.
    fn open_private(&self, name: &str) -> Result<OwnedFd, DirectoryError> {
        // Opened without blocking, because it may be a pipe, and for writing, because NFS requires that for a lock.
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let owner_only = Mode::RUSR | Mode::WUSR;
        let failed = |operation| move |error: Errno| self.io_error(operation, name, error);
        let file = rustix::fs::openat(&self.fd, name, flags, owner_only).map_err(failed("open"))?;
        let stat = rustix::fs::fstat(&file).map_err(failed("inspect"))?;
        let agent = rustix::process::geteuid().as_raw();
        self.refuse_foreign_file(name, &stat, &[agent, self.stat()?.st_uid])?;
        if Mode::from_raw_mode(stat.st_mode) != owner_only {
            rustix::fs::fchmod(&file, owner_only).map_err(failed("restrict the mode of"))?;
        }
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::os::unix::net::UnixListener;
    use std::path::Path;

    use super::*;
    use crate::agent::destination::directory::Obstacle;
    use crate::config::SymlinkMode;

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
    fn a_planted_lock_file_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let [victim, lock_file] = ["victim", LOCK_FILE].map(|name| root.path().join(name));
        fs::write(&victim, "whole").unwrap();
        let refused = || {
            let error = open(root.path()).lock_for_update().unwrap_err();
            let _ = fs::remove_file(&lock_file).or_else(|_| fs::remove_dir(&lock_file));
            match error {
                DirectoryError::Obstructed { path, obstacle } if path == lock_file => Ok(obstacle),
                DirectoryError::Io { operation: "open", path, error, .. } if path == lock_file => {
                    Err(Errno::from_io_error(&error).unwrap())
                }
                error => panic!("{error:?}"),
            }
        };
        symlink(&victim, &lock_file).unwrap();
        assert_eq!(refused(), Err(Errno::LOOP));
        fs::hard_link(&victim, &lock_file).unwrap();
        assert_eq!(refused(), Ok(Obstacle::HardLinkedFile));
        rustix::fs::mkfifoat(rustix::fs::CWD, &lock_file, Mode::RWXU).unwrap();
        assert_eq!(refused(), Ok(Obstacle::SpecialFile));
        fs::create_dir(&lock_file).unwrap();
        assert_eq!(refused(), Err(Errno::ISDIR));
        let socket = UnixListener::bind(&lock_file).unwrap();
        assert_eq!(refused(), Err(Errno::NXIO));
        drop(socket);
        assert_eq!(fs::read_to_string(&victim).unwrap(), "whole");
        drop(open(root.path()).lock_for_update().unwrap());
    }
}
