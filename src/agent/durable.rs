//! Changes several files as one set, so that a crash or a power cut leaves all old or all new. One I/O edge.
//!
//! 1. The new files are written into the folder `.tbot-staged`, each fsynced, then the folder.
//! 2. `.tbot-staged` is renamed to `.tbot-commit`, and the parent fsynced. This is the moment that counts.
//! 3. Each file is renamed out to its place, the parent is fsynced, and `.tbot-commit` removed.
//!
//! [`recover`](Folder::recover) rolls back what stopped before 2 and completes what stopped after it.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::folder::{Folder, FolderError};

const STAGED: &str = ".tbot-staged";
const COMMIT: &str = ".tbot-commit";

/// A file of a set: its name in the folder and its content.
pub(crate) type NewFile = (String, Vec<u8>);

/// What [`Folder::recover`] found and did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recovered {
    Nothing,
    /// A set was staged but never counted: gone, the old files hold.
    RolledBack,
    /// A set counted, but was not in place everywhere: it is now.
    Completed,
}

/// Ends what [`Folder::alone`] began.
struct Alone<'a>(&'a Folder);

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        // Fails only where there is no lock; closing the folder would release it as well.
        let _ = rustix::fs::flock(&self.0.fd, FlockOperation::Unlock);
    }
}

impl Folder {
    /// Replaces these files by new ones, as one set. A file that is there keeps its mode and group; a new one has
    /// mode 0600.
    pub(crate) fn commit(&self, files: &[NewFile]) -> Result<(), FolderError> {
        let _alone = self.alone();
        self.put_in_order()?;
        rustix::fs::mkdirat(&self.fd, STAGED, Mode::RWXU)
            .map_err(|error| self.failed("make the folder", STAGED, error.into()))?;
        let staged = self.open_inner(STAGED)?;
        for (name, content) in files {
            self.stage(&staged, name, content)?;
        }
        rustix::fs::fsync(&staged).map_err(|error| self.failed("make durable", STAGED, error.into()))?;
        rustix::fs::renameat(&self.fd, STAGED, &self.fd, COMMIT)
            .map_err(|error| self.failed("rename", STAGED, error.into()))?;
        self.sync()?;
        self.complete()
    }

    /// Puts the folder in order after a crash. Cheap when there is nothing to do.
    pub(crate) fn recover(&self) -> Result<Recovered, FolderError> {
        let _alone = self.alone();
        self.put_in_order()
    }

    fn put_in_order(&self) -> Result<Recovered, FolderError> {
        if self.has_folder(COMMIT)? {
            self.complete()?;
            return Ok(Recovered::Completed);
        }
        if self.has_folder(STAGED)? {
            self.discard(STAGED)?;
            return Ok(Recovered::RolledBack);
        }
        Ok(Recovered::Nothing)
    }

    /// Waits until nobody else changes a set here: two outputs may name one folder, and so may two agents. A file system
    /// that cannot lock a folder (NFS) leaves it to its users not to do that.
    fn alone(&self) -> Alone<'_> {
        if let Err(error) = rustix::fs::flock(&self.fd, FlockOperation::LockExclusive) {
            tracing::debug!(folder = %self.path().display(), "cannot lock the folder: {error}");
        }
        Alone(self)
    }

    fn stage(&self, staged: &OwnedFd, name: &str, content: &[u8]) -> Result<(), FolderError> {
        let failed = |error| self.failed("write", name, error);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(staged, name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|error| failed(error.into()))?;
        let mut file = File::from(fd);
        file.write_all(content).map_err(failed)?;
        if let Some(old) = self.stat_file(name)? {
            // Who may read a file was decided by whoever set its group and mode; a renewal does not change it.
            // A group that we may not give is no reason to fail: then fewer may read, never more.
            let group = rustix::fs::Gid::from_raw(old.st_gid);
            let given = rustix::fs::fchown(&file, None, Some(group)).is_ok();
            let mode = Mode::from_raw_mode(old.st_mode);
            let mode = if given { mode } else { mode & Mode::RWXU };
            rustix::fs::fchmod(&file, mode).map_err(|error| failed(error.into()))?;
        }
        file.sync_all().map_err(failed)
    }

    fn complete(&self) -> Result<(), FolderError> {
        let commit = self.open_inner(COMMIT)?;
        for name in self.names_in(&commit, COMMIT)? {
            rustix::fs::renameat(&commit, &name, &self.fd, &name)
                .map_err(|error| self.failed("put in place", &name, error.into()))?;
        }
        self.sync()?;
        self.remove_folder(COMMIT)
    }

    fn discard(&self, inner: &str) -> Result<(), FolderError> {
        let fd = self.open_inner(inner)?;
        for name in self.names_in(&fd, inner)? {
            rustix::fs::unlinkat(&fd, &name, AtFlags::empty())
                .map_err(|error| self.failed("remove", &name, error.into()))?;
        }
        self.remove_folder(inner)
    }

    fn remove_folder(&self, inner: &str) -> Result<(), FolderError> {
        rustix::fs::unlinkat(&self.fd, inner, AtFlags::REMOVEDIR)
            .map_err(|error| self.failed("remove", inner, error.into()))?;
        self.sync()
    }

    fn open_inner(&self, inner: &str) -> Result<OwnedFd, FolderError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&self.fd, inner, flags, Mode::empty())
            .map_err(|error| self.failed("open", inner, error.into()))
    }

    fn names_in(&self, fd: &OwnedFd, inner: &str) -> Result<Vec<String>, FolderError> {
        let failed = |error: Errno| self.failed("list", inner, error.into());
        let mut names = Vec::new();
        for entry in Dir::read_from(fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            match entry.file_name().to_str() {
                Ok("." | "..") | Err(_) => {}
                Ok(name) => names.push(name.to_owned()),
            }
        }
        Ok(names)
    }

    fn stat_file(&self, name: &str) -> Result<Option<Stat>, FolderError> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => Ok(Some(stat)),
            Ok(_) | Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(self.failed("look at", name, error.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::*;
    use crate::config::SymlinkMode;

    fn files(generation: &str) -> Vec<NewFile> {
        ["key", "tlscert"].map(|name| (name.to_owned(), format!("{name} {generation}").into_bytes())).to_vec()
    }

    fn open(path: &Path) -> Folder {
        Folder::open(path, SymlinkMode::TrySecure).unwrap()
    }

    fn generation(folder: &Folder) -> [String; 2] {
        ["key", "tlscert"].map(|name| String::from_utf8(folder.read(name).unwrap().unwrap()).unwrap())
    }

    #[test]
    fn a_set_replaces_the_one_before_and_leaves_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let folder = open(root.path());
        folder.commit(&files("1")).unwrap();
        folder.commit(&files("2")).unwrap();
        assert_eq!(generation(&folder), ["key 2", "tlscert 2"]);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2);
    }

    #[test]
    fn two_writers_of_one_folder_do_not_mix_their_sets() {
        let root = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for writer in ["a", "b"] {
                let folder = open(root.path());
                scope.spawn(move || {
                    for round in 0..20 {
                        folder.commit(&files(&format!("{writer}{round}"))).unwrap();
                    }
                });
            }
        });
        let [key, cert] = generation(&open(root.path()));
        assert_eq!(key.strip_prefix("key "), cert.strip_prefix("tlscert "));
    }

    #[test]
    fn modes_that_somebody_set_are_kept() {
        let root = tempfile::tempdir().unwrap();
        let folder = open(root.path());
        folder.commit(&files("1")).unwrap();
        let mode = |name: &str| fs::metadata(root.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("key"), 0o600);
        fs::set_permissions(root.path().join("key"), fs::Permissions::from_mode(0o640)).unwrap();
        folder.commit(&files("2")).unwrap();
        assert_eq!((mode("key"), mode("tlscert")), (0o640, 0o600));
    }

    #[test]
    fn what_stopped_before_it_counted_is_rolled_back() {
        let root = tempfile::tempdir().unwrap();
        let folder = open(root.path());
        folder.commit(&files("1")).unwrap();
        // As after a crash in step 1: one of two files is staged.
        fs::create_dir(root.path().join(STAGED)).unwrap();
        fs::write(root.path().join(STAGED).join("key"), "key 2").unwrap();
        assert_eq!(folder.recover().unwrap(), Recovered::RolledBack);
        assert_eq!(generation(&folder), ["key 1", "tlscert 1"]);
        assert_eq!(folder.recover().unwrap(), Recovered::Nothing);
    }

    #[test]
    fn what_stopped_after_it_counted_is_completed() {
        let root = tempfile::tempdir().unwrap();
        let folder = open(root.path());
        folder.commit(&files("1")).unwrap();
        // As after a crash in step 3: `key` is in its place, `tlscert` is not.
        fs::create_dir(root.path().join(COMMIT)).unwrap();
        fs::write(root.path().join("key"), "key 2").unwrap();
        fs::write(root.path().join(COMMIT).join("tlscert"), "tlscert 2").unwrap();
        assert_eq!(folder.recover().unwrap(), Recovered::Completed);
        assert_eq!(generation(&folder), ["key 2", "tlscert 2"]);
        assert_eq!(folder.recover().unwrap(), Recovered::Nothing);
    }
}
