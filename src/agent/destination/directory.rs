//! Opens a directory and accesses its files relative to the descriptor, so that later changes of the path have no
//! effect.
//!
//! Symbolic links in the path are refused only when the directory is opened (`symlinks: secure`, and `try-secure` on
//! Linux). After that, names are resolved relative to the descriptor, and links are never followed.

mod create;
mod error;
mod lock;
mod lock_holder;
mod own_files;
pub(in crate::agent) mod storage_lock;
pub(in crate::agent) mod tree;

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use create::OpenError;
pub use error::DirectoryError;
pub(in crate::agent) use lock::DirectoryLock;
pub(in crate::agent::destination) use lock::{LOCK_FILE, LockFile};
pub use lock_holder::LockHolder;

use crate::agent::destination::permissions::ReaderGrant;
use crate::agent::platform::regular_file::{self, Obstacle, RegularFileError};
use crate::agent::platform::{Exposure, Hint};
use crate::config::SymlinkMode;

/// An empty file that the agent opens for writing before it requests credentials, to test whether files can be written.
/// It is never removed.
pub(in crate::agent::destination) const WRITE_TEST: &str = ".write-test";
/// The largest file that the agent reads, in bytes: much more than it ever writes.
pub(in crate::agent::destination) const READ_LIMIT: u64 = 4 << 20;

/// An open directory.
#[derive(Debug)]
pub(crate) struct DirectoryHandle {
    pub(super) fd: OwnedFd,
    path: PathBuf,
}

fn is_same_file(one: &Stat, other: &Stat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}

impl DirectoryHandle {
    /// Opens the directory `path`. Creates it and its parents with mode 0700 if they are missing.
    pub(crate) fn open(path: &Path, symlinks: SymlinkMode) -> Result<Self, DirectoryError> {
        let failed = |error| {
            let error = match error {
                OpenError::System(error) => error,
                OpenError::WritableParent(parent) => {
                    return DirectoryError::ReplaceableByOthers { path: path.to_owned(), parent };
                }
                OpenError::ForeignInSharedParent { owner, parent } => {
                    return DirectoryError::ForeignInSharedParent { path: path.to_owned(), owner, parent };
                }
            };
            let hint = match error {
                Errno::LOOP => {
                    Some("the path contains a symbolic link: use the real path, or set symlinks: insecure")
                }
                Errno::ACCESS => Some("check the owner and mode of the directory and its parents"),
                Errno::NOTDIR if path.is_file() => Some("this is a file: name a directory"),
                Errno::NOTDIR => Some("a component of the path is not a directory"),
                _ => None,
            };
            DirectoryError::Io {
                operation: "open the directory",
                path: path.to_owned(),
                error: error.into(),
                hint: hint.map(Hint::new),
            }
        };
        let fd = create::open_or_create(path, symlinks).map_err(failed)?;
        Ok(Self { fd, path: path.to_owned() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the content of a file, or `None` if there is no such file.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, DirectoryError> {
        let file = regular_file::open(&self.fd, name, OFlags::RDONLY, &self.trusted_owners()?);
        match file.and_then(|file| regular_file::read_all(&file, READ_LIMIT)) {
            Ok(content) => Ok(Some(content)),
            Err(RegularFileError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.file_error("read", name, error)),
        }
    }

    /// Writes a marker file in place and fsyncs it. A crash may leave a part of the content, so the code that reads a
    /// marker must compare the whole content.
    pub(crate) fn write_marker(&self, name: &str, content: &[u8]) -> Result<(), DirectoryError> {
        let mut file = self.open_file(name, OFlags::WRONLY | OFlags::CREATE, "write")?;
        self.give_to_owner(&file)?;
        file.set_len(0)
            .and_then(|()| file.write_all(content))
            .and_then(|()| file.sync_all())
            .map_err(|error| self.io_error("write", name, error))?;
        self.sync()
    }

    /// Removes a file durably, and never a directory. A missing file is not an error.
    pub(crate) fn remove_file(&self, name: &str) -> Result<(), DirectoryError> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) => self.sync(),
            Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(self.io_error("remove", name, error)),
        }
    }

    /// Tests whether files can be written here.
    pub(crate) fn test_write(&self) -> Result<(), DirectoryError> {
        self.open_write_test("write the test file").map(drop)
    }

    /// Tests whether readers can be given access to files here.
    pub(crate) fn test_acl(&self, grant: &ReaderGrant) -> Result<(), DirectoryError> {
        const OPERATION: &str = "give readers access to";
        let file = self.open_write_test(OPERATION)?;
        grant.test(&file.into()).map_err(|error| self.io_error(OPERATION, WRITE_TEST, error))
    }

    /// Returns true if every user may create files here.
    pub(crate) fn is_writable_by_others(&self) -> Result<bool, DirectoryError> {
        Ok(Mode::from_raw_mode(self.stat()?.st_mode).contains(Mode::WOTH))
    }

    /// Returns what every user can do with a file. `None` if nothing, or if there is no such file.
    pub(crate) fn exposure_of(&self, name: &str) -> Option<Exposure> {
        let is_reachable = Mode::from_raw_mode(self.stat().ok()?.st_mode).contains(Mode::XOTH);
        let file = self.open_file(name, OFlags::RDONLY, "inspect").ok().filter(|_| is_reachable)?;
        Exposure::of(&file).ok().flatten()
    }

    /// Returns whether the path leads to this directory. Needs no further descriptor.
    pub(crate) fn is_at_its_path(&self) -> bool {
        // On NFS, this fails if the directory was removed on the server.
        self.stat()
            .is_ok_and(|open| rustix::fs::stat(&self.path).is_ok_and(|found| is_same_file(&open, &found)))
    }

    /// Returns whether both are handles of the same directory.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.stat().is_ok_and(|one| other.stat().is_ok_and(|other| is_same_file(&one, &other)))
    }

    /// Returns the user that the directory belongs to.
    pub(crate) fn owner(&self) -> Result<u32, DirectoryError> {
        Ok(self.stat()?.st_uid)
    }

    /// Returns true if the directory belongs to the user that the agent runs as.
    pub(crate) fn is_owned_by_agent(&self) -> Result<bool, DirectoryError> {
        Ok(self.owner()? == rustix::process::geteuid().as_raw())
    }

    /// Fsyncs the directory, which makes created, renamed and removed entries durable.
    pub(crate) fn sync(&self) -> Result<(), DirectoryError> {
        rustix::fs::fsync(&self.fd).map_err(|error| DirectoryError::Io {
            operation: "sync",
            path: self.path.clone(),
            error: error.into(),
            hint: None,
        })
    }

    pub(super) fn stat(&self) -> Result<Stat, DirectoryError> {
        rustix::fs::fstat(&self.fd).map_err(|error| self.io_error("inspect", ".", error))
    }

    /// Returns the type of the entry `name`, or `None` if there is no such entry. Does not follow links.
    pub(super) fn file_type(&self, name: &str) -> Result<Option<FileType>, DirectoryError> {
        tree::file_type(&self.fd, name).map_err(|error| self.io_error("inspect", name, error))
    }

    pub(super) fn is_directory(&self, name: &str) -> Result<bool, DirectoryError> {
        Ok(self.file_type(name)? == Some(FileType::Directory))
    }

    /// Creates and opens a subdirectory with mode 0700. An existing entry of this name is an error.
    pub(super) fn create_subdirectory(&self, name: &str) -> Result<OwnedFd, DirectoryError> {
        rustix::fs::mkdirat(&self.fd, name, Mode::RWXU)
            .map_err(|error| self.io_error("create the directory", name, error))?;
        let fd = self.open_own_subdirectory(name)?;
        self.give_to_owner(&fd)?;
        Ok(fd)
    }

    /// Opens a subdirectory that the agent has created. Refuses one that belongs to another user, except the owner of this
    /// directory, who can replace everything in it anyway: some file systems give everything to one user, whoever creates it
    /// (NFS with `root_squash`, CIFS).
    pub(super) fn open_own_subdirectory(&self, name: &str) -> Result<OwnedFd, DirectoryError> {
        let failed = |error: Errno| self.io_error("open", name, error);
        let fd = tree::open(&self.fd, name).map_err(failed)?;
        let owner = rustix::fs::fstat(&fd).map_err(failed)?.st_uid;
        if owner == rustix::process::geteuid().as_raw() || owner == self.owner()? {
            return Ok(fd);
        }
        Err(self.obstructed(name, Obstacle::ForeignDirectory))
    }

    /// Removes an entry, and everything in it if it is a directory, durably.
    ///
    /// The removal is synced, although it could be repeated: on a file system without a journal, a power failure may bring the entry
    /// back. It then refers to the file that was renamed or linked from it, and removing it again would destroy that file.
    pub(super) fn remove_tree(&self, name: &str) -> Result<(), DirectoryError> {
        tree::remove(&self.fd, name).map_err(|error| self.io_error("remove", name, error))?;
        self.sync()
    }

    pub(super) fn obstructed(&self, name: &str, obstacle: Obstacle) -> DirectoryError {
        DirectoryError::Obstructed { path: self.path.join(name), obstacle }
    }

    pub(super) fn io_error(
        &self,
        operation: &'static str,
        name: &str,
        error: impl Into<io::Error>,
    ) -> DirectoryError {
        DirectoryError::io(operation, self.path.join(name), error.into())
    }

    /// Opens a regular file, as [`tree::open_file`] describes.
    pub(super) fn open_file(
        &self,
        name: &str,
        flags: OFlags,
        operation: &'static str,
    ) -> Result<File, DirectoryError> {
        let owners = self.trusted_owners()?;
        tree::open_file(&self.fd, name, flags, &owners)
            .map_err(|error| self.file_error(operation, name, error))
    }

    /// Returns the users whose files the agent reads and overwrites: its own, root, and the owner of the directory, who
    /// can replace every file in it anyway.
    pub(super) fn trusted_owners(&self) -> Result<[u32; 3], DirectoryError> {
        Ok([rustix::process::geteuid().as_raw(), 0, self.owner()?])
    }

    pub(super) fn file_error(
        &self,
        operation: &'static str,
        name: &str,
        error: RegularFileError,
    ) -> DirectoryError {
        match error {
            RegularFileError::Obstructed(obstacle) => self.obstructed(name, obstacle),
            error => self.io_error(operation, name, error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn new_directories_and_files_are_accessible_only_to_their_owner() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b");
        let directory = DirectoryHandle::open(&path, SymlinkMode::Secure).unwrap();
        directory.test_write().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&path.join(WRITE_TEST)), 0o600);
        assert_eq!(directory.read("missing").unwrap(), None);
    }

    #[test]
    fn links_in_the_path_are_followed_only_if_insecure() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("real")).unwrap();
        let linked = root.path().join("link");
        symlink(root.path().join("real"), &linked).unwrap();
        for mode in [SymlinkMode::Secure, SymlinkMode::TrySecure] {
            match DirectoryHandle::open(&linked, mode).unwrap_err() {
                DirectoryError::Io { path, error, hint, .. } => {
                    assert_eq!(path, linked);
                    assert_eq!(Errno::from_io_error(&error), Some(Errno::LOOP));
                    assert!(hint.is_some());
                }
                error => panic!("{error}"),
            }
        }
        DirectoryHandle::open(&linked, SymlinkMode::Insecure).unwrap();
    }

    #[test]
    fn a_file_that_is_a_link_is_never_followed() {
        let root = tempfile::tempdir().unwrap();
        let directory = DirectoryHandle::open(root.path(), SymlinkMode::Insecure).unwrap();
        std::fs::write(root.path().join("target"), "secret").unwrap();
        symlink(root.path().join("target"), root.path().join("key")).unwrap();
        assert!(directory.read("key").is_err());
        assert!(directory.write_marker("key", b"x").is_err());
        assert_eq!(std::fs::read_to_string(root.path().join("target")).unwrap(), "secret");
    }
}
