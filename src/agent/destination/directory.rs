//! A folder that is held open: every file is reached through it, whatever becomes of the path. One I/O edge.
//!
//! Symbolic links are refused in the whole path (`symlinks: secure`, and `try-secure` where the kernel can) once,
//! when the folder is opened; from then on names are taken from the open folder and links are never followed.

mod lock;
mod open;
pub(in crate::agent) mod tree;

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::agent::destination::permissions::Grant;
use crate::config::SymlinkMode;

/// An empty file, written before each renewal to see that writing works.
const WRITE_TEST: &str = ".write-test";
const LOCK: &str = "lock";

/// Work in a folder that failed.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A system call.
    #[error("cannot {doing} {path}: {error}{hint}")]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// Folder or file.
        path: PathBuf,
        /// What the system answered.
        error: io::Error,
        /// What to check, with a leading semicolon, or nothing.
        hint: &'static str,
    },
    /// Another agent works with this folder.
    #[error(
        "the storage {0} is locked: is another tbot running? two agents with one identity would lock the bot"
    )]
    Locked(PathBuf),
    /// Something lies where the agent keeps what is its own.
    #[error("{path} is {what}, which this agent did not make: remove it, or use another folder")]
    NotOurs {
        /// Where it lies.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
}

/// An open folder.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(super) fd: OwnedFd,
    pub(super) path: PathBuf,
}

/// The lock on a storage folder, held until dropped.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "closing the file releases the lock")] OwnedFd);

impl Folder {
    /// Opens `path`, and makes it and its parents with mode 0700 where they are not there.
    pub(crate) fn open(path: &Path, symlinks: SymlinkMode) -> Result<Self, FolderError> {
        let failed = |error: Errno| {
            let hint = match error {
                Errno::LOOP => {
                    "; a symbolic link is in the path: name the real one, or set symlinks: insecure"
                }
                Errno::ACCESS => "; check the owner and mode of the folder and its parents",
                Errno::NOTDIR => "; something on the way is no folder",
                _ => "",
            };
            FolderError::Io { doing: "open the folder", path: path.to_owned(), error: error.into(), hint }
        };
        let fd = open::open_or_make(path, symlinks).map_err(failed)?;
        Ok(Self { fd, path: path.to_owned() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A file's content; `None` when there is no such file.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, FolderError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(self.failed("read", name, error.into())),
        };
        let mut content = Vec::new();
        File::from(fd).read_to_end(&mut content).map_err(|error| self.failed("read", name, error))?;
        Ok(Some(content))
    }

    /// Writes one file in place and makes it durable: for marks, whose content is all or nothing anyway.
    pub(crate) fn write_mark(&self, name: &str, content: &[u8]) -> Result<(), FolderError> {
        let failed = |error| self.failed("write", name, error);
        let mut file = self.create(name, OFlags::TRUNC).map_err(|error| failed(error.into()))?;
        file.write_all(content).and_then(|()| file.sync_all()).map_err(failed)?;
        self.sync()
    }

    /// Removes a file durably; one that is not there is no error.
    pub(crate) fn remove_mark(&self, name: &str) -> Result<(), FolderError> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) => self.sync(),
            Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(self.failed("remove", name, error.into())),
        }
    }

    /// Sees whether files can be written here.
    pub(crate) fn test_write(&self) -> Result<(), FolderError> {
        self.create(WRITE_TEST, OFlags::TRUNC)
            .map(drop)
            .map_err(|error| self.failed("write the test file", WRITE_TEST, error.into()))
    }

    /// Sees whether this many bytes could be written here, and takes them back.
    pub(crate) fn test_room(&self, bytes: usize) -> Result<(), FolderError> {
        let failed = |error| self.failed("write the test file", WRITE_TEST, error);
        let mut file = self.create(WRITE_TEST, OFlags::TRUNC).map_err(|error| failed(error.into()))?;
        let written = file.write_all(&vec![0; bytes]);
        // The Go agent's file is empty, and so is ours, whatever happened.
        file.set_len(0).and(written).map_err(failed)
    }

    /// True when the folder belongs to the user that the agent runs as.
    pub(crate) fn is_ours(&self) -> Result<bool, FolderError> {
        let stat = rustix::fs::fstat(&self.fd).map_err(|error| self.failed("look at", ".", error.into()))?;
        Ok(stat.st_uid == rustix::process::geteuid().as_raw())
    }

    /// Sees whether readers can be given access here.
    pub(crate) fn test_access(&self, grant: &Grant) -> Result<(), FolderError> {
        let failed = |error: Errno| self.failed("give readers access to", WRITE_TEST, error.into());
        let file = self.create(WRITE_TEST, OFlags::TRUNC).map_err(failed)?;
        grant.test(&file.into()).map_err(failed)
    }

    /// Takes the lock that the Go agent takes as well: `flock(2)`, exclusive, on the file `lock`.
    pub(crate) fn lock(&self) -> Result<Lock, FolderError> {
        let file =
            self.create(LOCK, OFlags::empty()).map_err(|error| self.failed("open", LOCK, error.into()))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Lock(file.into())),
            Err(Errno::WOULDBLOCK) => Err(FolderError::Locked(self.path.clone())),
            Err(error) => Err(self.failed("lock", LOCK, error.into())),
        }
    }

    /// Makes names durable: what was renamed, created or removed here.
    pub(crate) fn sync(&self) -> Result<(), FolderError> {
        rustix::fs::fsync(&self.fd).map_err(|error| FolderError::Io {
            doing: "make durable",
            path: self.path.clone(),
            error: error.into(),
            hint: "",
        })
    }

    /// What a name in this folder is; links are not followed.
    pub(super) fn kind(&self, name: &str) -> Result<Option<FileType>, FolderError> {
        tree::kind(&self.fd, name).map_err(|error| self.failed("look at", name, error.into()))
    }

    /// True when `name` is a folder.
    pub(super) fn has_folder(&self, name: &str) -> Result<bool, FolderError> {
        Ok(self.kind(name)? == Some(FileType::Directory))
    }

    fn create(&self, name: &str, extra: OFlags) -> Result<File, Errno> {
        create(&self.fd, name, extra)
    }

    pub(super) fn failed(&self, doing: &'static str, name: &str, error: io::Error) -> FolderError {
        let hint = match Errno::from_io_error(&error) {
            Some(Errno::LOOP) => "; it is a symbolic link, which is never followed here: remove it",
            Some(Errno::ACCESS | Errno::PERM) => "; check the owner and mode of the folder and the file",
            Some(Errno::NOSPC) => "; the disk is full",
            Some(Errno::DQUOT) => "; this user's share of the disk is full",
            Some(Errno::FBIG) => {
                "; this process may not write files of this size: raise its limit (ulimit -f)"
            }
            Some(Errno::MFILE) => "; this process may not open more files: raise its limit (ulimit -n)",
            Some(Errno::NOTSUP) => "; the file system does not know this",
            _ => "",
        };
        FolderError::Io { doing, path: self.path.join(name), error, hint }
    }
}

/// Opens a file to write to it; a new one has mode 0600.
pub(super) fn create(folder: &OwnedFd, name: &str, extra: OFlags) -> Result<File, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | extra;
    rustix::fs::openat(folder, name, flags, Mode::RUSR | Mode::WUSR).map(File::from)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn folders_are_made_private_and_files_too() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b");
        let folder = Folder::open(&path, SymlinkMode::Secure).unwrap();
        folder.test_write().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&path.join(WRITE_TEST)), 0o600);
        assert_eq!(folder.read("nothing").unwrap(), None);
    }

    #[test]
    fn links_in_the_path_are_followed_only_when_told_so() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("real")).unwrap();
        let linked = root.path().join("link");
        symlink(root.path().join("real"), &linked).unwrap();
        for mode in [SymlinkMode::Secure, SymlinkMode::TrySecure] {
            let refused = Folder::open(&linked, mode).unwrap_err().to_string();
            assert!(refused.contains("symbolic link"), "{refused}");
        }
        Folder::open(&linked, SymlinkMode::Insecure).unwrap();
    }

    #[test]
    fn a_file_that_is_a_link_is_never_followed() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path(), SymlinkMode::Insecure).unwrap();
        std::fs::write(root.path().join("target"), "secret").unwrap();
        symlink(root.path().join("target"), root.path().join("key")).unwrap();
        assert!(folder.read("key").is_err());
        assert!(folder.write_mark("key", b"x").is_err());
        assert_eq!(std::fs::read_to_string(root.path().join("target")).unwrap(), "secret");
    }

    #[test]
    fn two_agents_cannot_hold_one_storage() {
        let root = tempfile::tempdir().unwrap();
        let [first, second] = [0, 1].map(|_| Folder::open(root.path(), SymlinkMode::TrySecure).unwrap());
        let held = first.lock().unwrap();
        assert!(matches!(second.lock(), Err(FolderError::Locked(_))));
        drop(held);
        second.lock().unwrap();
    }
}
