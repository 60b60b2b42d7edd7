//! Who changes a folder does it alone: a lock on a file that nobody else may open. One I/O edge.
//!
//! Not on the folder itself, and not on a file that is there for readers: `flock(2)` asks for no right but to have
//! opened something, so that a reader could hold it for ever and stop every renewal.

use std::os::fd::OwnedFd;

use rustix::fs::{FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::{Folder, FolderError};

/// Empty, and never removed: of two that lock a file, one could hold what the other has just replaced.
const TURN: &str = ".tbot-lock";

/// The right to change a folder, until dropped.
#[derive(Debug)]
#[must_use = "whoever drops this is not alone any more"]
pub(in crate::agent) struct Alone(
    #[expect(dead_code, reason = "closing the file releases the lock")] OwnedFd,
);

impl Folder {
    /// Waits until nobody else changes a set here: two outputs may name one folder, and so may two agents. A file system
    /// that has no locks leaves it to its users not to do that.
    pub(in crate::agent) fn alone(&self) -> Result<Alone, FolderError> {
        let file = self.private(TURN)?;
        if let Err(error) = rustix::fs::flock(&file, FlockOperation::LockExclusive) {
            tracing::debug!(folder = %self.path().display(), "cannot lock {TURN}: {error}");
        }
        Ok(Alone(file))
    }

    /// Opens a file that only its owner may open, and makes it where it is not there. Refuses what somebody else has put
    /// there.
    fn private(&self, name: &str) -> Result<OwnedFd, FolderError> {
        // Not waiting: it may be a pipe. To write, because a network file system locks nothing else.
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let only_ours = Mode::RUSR | Mode::WUSR;
        let failed = |doing| move |error: Errno| self.failed(doing, name, error.into());
        let file = rustix::fs::openat(&self.fd, name, flags, only_ours).map_err(failed("open"))?;
        let stat = rustix::fs::fstat(&file).map_err(failed("look at"))?;
        let folder = rustix::fs::fstat(&self.fd).map_err(failed("look at"))?;
        let me = rustix::process::geteuid().as_raw();
        let what = if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            "no file"
        } else if stat.st_nlink != 1 {
            "a file with a second name elsewhere"
        } else if ![me, folder.st_uid].contains(&stat.st_uid) {
            "a file of a user who owns neither the folder nor the agent"
        } else {
            if Mode::from_raw_mode(stat.st_mode) != only_ours {
                rustix::fs::fchmod(&file, only_ours).map_err(failed("make private"))?;
            }
            return Ok(file);
        };
        Err(FolderError::NotOurs { path: self.path.join(name), what })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::os::unix::net::UnixListener;
    use std::path::Path;

    use super::*;
    use crate::config::SymlinkMode;

    fn open(path: &Path) -> Folder {
        Folder::open(path, SymlinkMode::TrySecure).unwrap()
    }

    fn is_free(path: &Path) -> bool {
        let other = File::open(path.join(TURN)).unwrap();
        rustix::fs::flock(&other, FlockOperation::NonBlockingLockExclusive).is_ok()
    }

    #[test]
    fn only_one_at_a_time_is_alone() {
        let root = tempfile::tempdir().unwrap();
        let alone = open(root.path()).alone().unwrap();
        assert!(!is_free(root.path()));
        drop(alone);
        assert!(is_free(root.path()));
    }

    #[test]
    fn who_may_only_read_the_folder_cannot_hold_anything_up() {
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let reader = File::open(root.path()).unwrap();
        rustix::fs::flock(&reader, FlockOperation::NonBlockingLockExclusive).unwrap();
        drop(open(root.path()).alone().unwrap());
        let mode = || fs::metadata(root.path().join(TURN)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        fs::set_permissions(root.path().join(TURN), fs::Permissions::from_mode(0o644)).unwrap();
        drop(open(root.path()).alone().unwrap());
        assert_eq!(mode(), 0o600);
    }

    #[test]
    fn what_somebody_else_put_there_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let [victim, turn] = ["victim", TURN].map(|name| root.path().join(name));
        fs::write(&victim, "whole").unwrap();
        let refused = |planted: &str| {
            let refused = open(root.path()).alone().unwrap_err().to_string();
            assert!(refused.contains(TURN) && refused.contains(planted), "{refused}");
            let _ = fs::remove_file(&turn).or_else(|_| fs::remove_dir(&turn));
        };
        symlink(&victim, &turn).unwrap();
        refused("symbolic link");
        fs::hard_link(&victim, &turn).unwrap();
        refused("a second name");
        rustix::fs::mkfifoat(rustix::fs::CWD, &turn, Mode::RWXU).unwrap();
        refused("no file");
        fs::create_dir(&turn).unwrap();
        refused("cannot open");
        let socket = UnixListener::bind(&turn).unwrap();
        refused("cannot open");
        drop(socket);
        assert_eq!(fs::read_to_string(&victim).unwrap(), "whole");
        drop(open(root.path()).alone().unwrap());
    }
}
