//! Changes several files as one set, so that a crash or a power cut leaves all old or all new. One I/O edge.
//!
//! 1. The new files are written into the folder `.tbot-staged`, each fsynced, then the folder.
//! 2. `.tbot-staged` is renamed to `.tbot-commit`, and the parent fsynced. This is the moment that counts.
//! 3. Each file is renamed out to its place, the parent is fsynced, and `.tbot-commit` removed.
//!
//! [`recover`](Folder::recover) rolls back what stopped before 2 and completes what stopped after it.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::agent::destination::directory::{Folder, FolderError, tree};
use crate::agent::destination::permissions::Grant;

const STAGED: &str = ".tbot-staged";
const COMMIT: &str = ".tbot-commit";

/// A file of a set: its name in the folder, with at most one sub-folder (`cockroach/node.key`), and its content.
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

impl Folder {
    /// Replaces these files by new ones, as one set. A file that is there keeps its mode, group and access list; a new
    /// one has mode 0600.
    pub(crate) fn commit(&self, files: &[NewFile], grant: &Grant) -> Result<(), FolderError> {
        let _alone = self.alone()?;
        self.put_in_order()?;
        grant.folder(&self.fd).map_err(|error| self.failed("let readers into", ".", error.into()))?;
        self.make_folder(STAGED)?;
        let staged = self.open_inner(STAGED)?;
        for (name, content) in files {
            self.stage(&staged, STAGED, name, content, grant)?;
        }
        tree::sync(&staged).map_err(|error| self.failed("make durable", STAGED, error.into()))?;
        rustix::fs::renameat(&self.fd, STAGED, &self.fd, COMMIT)
            .map_err(|error| self.failed("rename", STAGED, error.into()))?;
        self.sync()?;
        self.complete(grant)
    }

    /// Puts the folder in order after a crash. Cheap when there is nothing to do.
    pub(crate) fn recover(&self) -> Result<Recovered, FolderError> {
        let _alone = self.alone()?;
        self.put_in_order()
    }

    pub(super) fn put_in_order(&self) -> Result<Recovered, FolderError> {
        if self.has_folder(COMMIT)? {
            self.complete(&Grant::default())?;
            return Ok(Recovered::Completed);
        }
        if self.has_folder(STAGED)? {
            self.remove_folder(STAGED)?;
            return Ok(Recovered::RolledBack);
        }
        Ok(Recovered::Nothing)
    }

    /// Writes one file of a set into the new folder `inner`, with the rights of the file that it replaces.
    pub(super) fn stage(
        &self,
        inner: &OwnedFd,
        inner_name: &str,
        name: &str,
        content: &[u8],
        grant: &Grant,
    ) -> Result<(), FolderError> {
        let failed = |error: io::Error| self.failed("write", &format!("{inner_name}/{name}"), error);
        let old = self.rights_of(name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = tree::at(inner, name, true, |folder, file| {
            rustix::fs::openat(folder, file, flags, Mode::RUSR | Mode::WUSR)
        });
        let fd = fd.map_err(|error| failed(error.into()))?;
        grant
            .file(&fd, old.as_ref())
            .map_err(|error| self.failed("give its readers access to", name, error.into()))?;
        let mut file = File::from(fd);
        file.write_all(content).and_then(|()| file.sync_all()).map_err(failed)
    }

    /// Renames what counts to its place, and removes what is empty then.
    fn complete(&self, grant: &Grant) -> Result<(), FolderError> {
        let commit = self.open_inner(COMMIT)?;
        for name in tree::files(&commit).map_err(|error| self.failed("list", COMMIT, error.into()))? {
            let failed = |error: Errno| self.failed("put in place", &name, error.into());
            let moved = tree::at(&commit, &name, false, |from, file| {
                tree::at(&self.fd, &name, true, |to, _| {
                    if tree::split(&name).0.is_some() {
                        grant.folder(to)?;
                    }
                    rustix::fs::renameat(from, file, to, file)?;
                    rustix::fs::fsync(to)
                })
            });
            moved.map_err(failed)?;
        }
        self.sync()?;
        self.remove_folder(COMMIT)
    }

    /// Removes a folder that is the agent's own, with all that is in it.
    pub(super) fn remove_folder(&self, inner: &str) -> Result<(), FolderError> {
        tree::remove(&self.fd, inner).map_err(|error| self.failed("remove", inner, error.into()))?;
        self.sync()
    }

    /// Makes a folder that must not be there yet, with mode 0700.
    pub(super) fn make_folder(&self, inner: &str) -> Result<(), FolderError> {
        rustix::fs::mkdirat(&self.fd, inner, Mode::RWXU)
            .map_err(|error| self.failed("make the folder", inner, error.into()))
    }

    /// Opens a folder that only this agent can have made.
    pub(super) fn open_inner(&self, inner: &str) -> Result<OwnedFd, FolderError> {
        let failed = |error: Errno| self.failed("open", inner, error.into());
        let fd = tree::open(&self.fd, inner).map_err(failed)?;
        if rustix::fs::fstat(&fd).map_err(failed)?.st_uid == rustix::process::geteuid().as_raw() {
            return Ok(fd);
        }
        Err(FolderError::NotOurs { path: self.path().join(inner), what: "another user's folder" })
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

    fn commit(folder: &Folder, generation: &str) {
        folder.commit(&files(generation), &Grant::default()).unwrap();
    }

    fn generation(folder: &Folder) -> [String; 2] {
        ["key", "tlscert"].map(|name| String::from_utf8(folder.read(name).unwrap().unwrap()).unwrap())
    }

    #[test]
    fn a_set_replaces_the_one_before_and_leaves_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let folder = open(root.path());
        commit(&folder, "1");
        commit(&folder, "2");
        assert_eq!(generation(&folder), ["key 2", "tlscert 2"]);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 3, "with .tbot-lock");
    }

    #[test]
    fn two_writers_of_one_folder_do_not_mix_their_sets() {
        let root = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for writer in ["a", "b"] {
                let folder = open(root.path());
                scope.spawn(move || {
                    for round in 0..20 {
                        commit(&folder, &format!("{writer}{round}"));
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
        commit(&folder, "1");
        let mode = |name: &str| fs::metadata(root.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("key"), 0o600);
        fs::set_permissions(root.path().join("key"), fs::Permissions::from_mode(0o640)).unwrap();
        commit(&folder, "2");
        assert_eq!((mode("key"), mode("tlscert")), (0o640, 0o600));
    }

    #[test]
    fn what_stopped_before_it_counted_is_rolled_back() {
        let root = tempfile::tempdir().unwrap();
        let folder = open(root.path());
        commit(&folder, "1");
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
        commit(&folder, "1");
        // As after a crash in step 3: `key` is in its place, `tlscert` is not.
        fs::create_dir(root.path().join(COMMIT)).unwrap();
        fs::write(root.path().join("key"), "key 2").unwrap();
        fs::write(root.path().join(COMMIT).join("tlscert"), "tlscert 2").unwrap();
        assert_eq!(folder.recover().unwrap(), Recovered::Completed);
        assert_eq!(generation(&folder), ["key 2", "tlscert 2"]);
        assert_eq!(folder.recover().unwrap(), Recovered::Nothing);
    }

    #[test]
    fn a_sub_folder_goes_with_its_set() {
        let root = tempfile::tempdir().unwrap();
        let folder = open(root.path());
        for generation in ["1", "2"] {
            let mut files = files(generation);
            files.push(("cockroach/node.key".to_owned(), generation.as_bytes().to_vec()));
            folder.commit(&files, &Grant::default()).unwrap();
        }
        assert_eq!(fs::read_to_string(root.path().join("cockroach/node.key")).unwrap(), "2");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 4, "with .tbot-lock");
    }
}
