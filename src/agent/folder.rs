//! A folder that is held open: every file is reached through it, whatever becomes of the path. One I/O edge.
//!
//! Symbolic links are refused in the whole path (`symlinks: secure`, and `try-secure` where the kernel can) once,
//! when the folder is opened; from then on names are taken from the open folder and links are never followed.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

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
        use std::os::unix::fs::DirBuilderExt as _;
        let failed = |doing, error: io::Error| {
            let hint = match Errno::from_io_error(&error) {
                Some(Errno::LOOP) => {
                    "; a symbolic link is in the path: name the real one, or set symlinks: insecure"
                }
                Some(Errno::ACCESS) => "; check the owner and mode of the folder and its parents",
                _ => "",
            };
            FolderError::Io { doing, path: path.to_owned(), error, hint }
        };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|error| failed("make the folder", error))?;
        let fd = open_folder(path, symlinks).map_err(|error| failed("open the folder", error.into()))?;
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

    /// True when `name` is a folder.
    pub(super) fn has_folder(&self, name: &str) -> Result<bool, FolderError> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(self.failed("look at", name, error.into())),
        }
    }

    pub(super) fn create(&self, name: &str, extra: OFlags) -> Result<File, Errno> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | extra;
        rustix::fs::openat(&self.fd, name, flags, Mode::RUSR | Mode::WUSR).map(File::from)
    }

    pub(super) fn failed(&self, doing: &'static str, name: &str, error: io::Error) -> FolderError {
        let hint = match Errno::from_io_error(&error) {
            Some(Errno::LOOP) => "; it is a symbolic link, which is never followed here: remove it",
            Some(Errno::ACCESS | Errno::PERM) => "; check the owner and mode of the folder and the file",
            Some(Errno::NOSPC) => "; the disk is full",
            _ => "",
        };
        FolderError::Io { doing, path: self.path.join(name), error, hint }
    }
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

#[cfg(target_os = "linux")]
fn open_folder(path: &Path, symlinks: SymlinkMode) -> Result<OwnedFd, Errno> {
    use rustix::fs::{CWD, ResolveFlags, openat2};
    let plain = || rustix::fs::open(path, FOLDER, Mode::empty());
    if symlinks == SymlinkMode::Insecure {
        return plain();
    }
    match openat2(CWD, path, FOLDER, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
        Err(Errno::NOSYS) if symlinks == SymlinkMode::TrySecure => {
            tracing::warn!(
                folder = %path.display(),
                "this kernel cannot refuse symbolic links in a path (openat2, Linux 5.6), so they are followed"
            );
            plain()
        }
        opened => opened,
    }
}

#[cfg(not(target_os = "linux"))]
fn open_folder(path: &Path, symlinks: SymlinkMode) -> Result<OwnedFd, Errno> {
    match symlinks {
        SymlinkMode::Secure => Err(Errno::NOSYS),
        SymlinkMode::TrySecure | SymlinkMode::Insecure => rustix::fs::open(path, FOLDER, Mode::empty()),
    }
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
