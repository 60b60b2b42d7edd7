//! Replaces several files as one set: after a crash or a power failure, either all old or all new files are present.
//!
//! 1. The new files are written into the directory `.tbot-staged`, and each file and the directory are fsynced.
//! 2. `.tbot-staged` is renamed to `.tbot-commit`, and the parent is fsynced. This commits the set.
//! 3. Each file is renamed to its final path, the parent is fsynced, and `.tbot-commit` is removed.
//!
//! [`recover`](DirectoryHandle::recover) rolls back a set that was interrupted before step 2, and completes one that
//! was interrupted after it.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;

use crate::agent::destination::directory::{DirectoryError, DirectoryHandle, tree};
use crate::agent::destination::permissions::ReaderGrant;
use crate::agent::destination::staging::{NewFile, StagedFile};
use crate::agent::platform::regular_file::Obstacle;

/// The directory that a set is written to.
pub(super) const STAGED: &str = ".tbot-staged";
/// The directory that contains a committed set until all of its files are at their final paths.
const COMMIT: &str = ".tbot-commit";

/// What [`DirectoryHandle::recover`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recovery {
    /// No set was interrupted.
    NotNeeded,
    /// A set was staged but not committed: it was removed, and the old files remain.
    RolledBack,
    /// A set was committed, but not every file was at its final path: the other files were moved there.
    Completed,
}

impl DirectoryHandle {
    /// Replaces these files as one set. A replaced file keeps its mode, group and ACL; a new one has mode 0600.
    pub(crate) fn commit(&self, files: &[NewFile], grant: &ReaderGrant) -> Result<(), DirectoryError> {
        let _lock = self.lock_for_update()?;
        self.recover_locked()?;
        grant
            .apply_to_directory(&self.fd)
            .map_err(|error| self.io_error("give readers access to", ".", error))?;
        let staged = self.create_staged_directory()?;
        self.stage_replacements(
            &staged,
            files.iter().map(|(name, content)| (name.as_str(), &**content)),
            grant,
        )?;
        tree::sync(&staged).map_err(|error| self.io_error("sync", STAGED, error))?;
        self.commit_staged(&staged, files.iter().map(|(name, _)| name.as_str()), grant)
    }

    /// Stages files that replace those of the same name in this directory.
    pub(super) fn stage_replacements<'a>(
        &self,
        staged: &OwnedFd,
        files: impl Iterator<Item = (&'a str, &'a [u8])>,
        grant: &ReaderGrant,
    ) -> Result<(), DirectoryError> {
        let files = files
            .map(|(name, content)| Ok(StagedFile { name, content, replaced: self.permissions_of(name)? }));
        self.stage_files(staged, STAGED, &files.collect::<Result<Vec<_>, DirectoryError>>()?, grant)
    }

    pub(super) fn create_staged_directory(&self) -> Result<OwnedFd, DirectoryError> {
        self.create_subdirectory(STAGED)
    }

    /// Returns the result of staging files. If it is an error, first removes the staging directory, to free the disk. If this fails,
    /// too, the next attempt does it.
    pub(super) fn unstage_on_error<T>(&self, staged: Result<T, DirectoryError>) -> Result<T, DirectoryError> {
        staged.inspect_err(|_| {
            let _ = self.remove_tree(STAGED);
        })
    }

    /// Commits the files of the staged directory, which are fsynced. If no file is in a subdirectory, this needs no
    /// further descriptor.
    pub(super) fn commit_staged<'a>(
        &self,
        staged: &OwnedFd,
        names: impl Iterator<Item = &'a str>,
        grant: &ReaderGrant,
    ) -> Result<(), DirectoryError> {
        rustix::fs::renameat(&self.fd, STAGED, &self.fd, COMMIT)
            .map_err(|error| self.io_error("rename", STAGED, error))?;
        self.sync()?;
        self.complete_commit(staged, names, grant)
    }

    /// Rolls back or completes a set that a crash interrupted. Cheap if there is no such set.
    pub(crate) fn recover(&self) -> Result<Recovery, DirectoryError> {
        let _lock = self.lock_for_update()?;
        self.recover_locked()
    }

    /// Does the work of [`recover`](Self::recover) for a caller that holds the lock.
    pub(super) fn recover_locked(&self) -> Result<Recovery, DirectoryError> {
        if self.has_own_subdirectory(COMMIT)? {
            let commit = self.open_own_subdirectory(COMMIT)?;
            let names = tree::files(&commit).map_err(|error| self.io_error("list", COMMIT, error))?;
            self.complete_commit(&commit, names.iter().map(String::as_str), &ReaderGrant::default())?;
            return Ok(Recovery::Completed);
        }
        if self.has_own_subdirectory(STAGED)? {
            self.remove_tree(STAGED)?;
            return Ok(Recovery::RolledBack);
        }
        Ok(Recovery::NotNeeded)
    }

    /// Returns false if there is no entry of this name, and an error if it is not a directory of the agent's user: the
    /// agent neither adopts nor removes what another user has planted.
    fn has_own_subdirectory(&self, name: &str) -> Result<bool, DirectoryError> {
        match self.file_type(name)? {
            None => Ok(false),
            Some(FileType::Directory) => self.open_own_subdirectory(name).map(|_| true),
            Some(file_type) => Err(self.obstructed(name, Obstacle::of_type(file_type))),
        }
    }

    /// Renames the committed files to their final paths, and removes the commit directory.
    fn complete_commit<'a>(
        &self,
        commit: &OwnedFd,
        names: impl Iterator<Item = &'a str>,
        grant: &ReaderGrant,
    ) -> Result<(), DirectoryError> {
        let mut subdirectories = BTreeSet::new();
        for name in names {
            let subdirectory = tree::split(name).0;
            let moved = tree::in_parent(commit, name, |from, file| {
                tree::in_created_parent(&self.fd, name, |to, _| {
                    if subdirectory.is_some() {
                        grant.apply_to_directory(to)?;
                    }
                    rustix::fs::renameat(from, file, to, file)
                })
            });
            moved.map_err(|error: Errno| self.io_error("move into place", name, error))?;
            subdirectories.extend(subdirectory);
        }
        for name in subdirectories {
            let synced = tree::open(&self.fd, name).and_then(rustix::fs::fsync);
            synced.map_err(|error| self.io_error("sync", name, error))?;
        }
        self.sync()?;
        self.remove_commit_directory();
        Ok(())
    }

    /// Removes the commit directory, whose files are at their final paths. A failure is not an error, because the set is
    /// complete: the next commit or recovery tries again. Synced for the same reason as in [`remove_tree`](Self::remove_tree).
    fn remove_commit_directory(&self) {
        let removed = match rustix::fs::unlinkat(&self.fd, COMMIT, AtFlags::REMOVEDIR) {
            // It contains subdirectories.
            Err(Errno::NOTEMPTY | Errno::EXIST) => tree::remove(&self.fd, COMMIT),
            removed => removed,
        };
        if let Err(error) = removed.and_then(|()| rustix::fs::fsync(&self.fd)) {
            tracing::debug!(directory = %self.path().display(), "cannot remove {COMMIT} yet: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
    use std::path::Path;

    use super::*;
    use crate::agent::destination::directory::{LOCK_FILE, WRITE_TEST};
    use crate::config::SymlinkMode;
    use crate::config::file_names::is_reserved_name;

    fn files(version: &str) -> Vec<NewFile> {
        ["key", "tlscert"].map(|name| (name.to_owned(), format!("{name} {version}").into_bytes())).to_vec()
    }

    fn open(path: &Path) -> DirectoryHandle {
        DirectoryHandle::open(path, SymlinkMode::TrySecure).unwrap()
    }

    fn commit(directory: &DirectoryHandle, version: &str) {
        directory.commit(&files(version), &ReaderGrant::default()).unwrap();
    }

    fn contents(directory: &DirectoryHandle) -> [String; 2] {
        ["key", "tlscert"].map(|name| String::from_utf8(directory.read(name).unwrap().unwrap()).unwrap())
    }

    #[test]
    fn every_file_of_the_agent_has_a_reserved_name() {
        for name in [STAGED, COMMIT, LOCK_FILE, WRITE_TEST] {
            assert!(is_reserved_name(name), "{name}");
        }
        assert!(!is_reserved_name("key"));
    }

    #[test]
    fn a_set_replaces_the_previous_one_and_leaves_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let directory = open(root.path());
        commit(&directory, "1");
        commit(&directory, "2");
        assert_eq!(contents(&directory), ["key 2", "tlscert 2"]);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 3, "with .tbot-lock");
    }

    #[test]
    fn two_writers_of_one_directory_do_not_mix_their_sets() {
        let root = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for writer in ["a", "b"] {
                let directory = open(root.path());
                scope.spawn(move || {
                    for round in 0..20 {
                        commit(&directory, &format!("{writer}{round}"));
                    }
                });
            }
        });
        let [key, cert] = contents(&open(root.path()));
        assert_eq!(key.strip_prefix("key "), cert.strip_prefix("tlscert "));
    }

    #[test]
    fn a_mode_that_a_user_set_is_kept() {
        let root = tempfile::tempdir().unwrap();
        let directory = open(root.path());
        commit(&directory, "1");
        let mode = |name: &str| fs::metadata(root.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("key"), 0o600);
        fs::set_permissions(root.path().join("key"), fs::Permissions::from_mode(0o640)).unwrap();
        commit(&directory, "2");
        assert_eq!((mode("key"), mode("tlscert")), (0o640, 0o600));
    }

    #[test]
    fn a_set_interrupted_before_the_commit_is_rolled_back() {
        let root = tempfile::tempdir().unwrap();
        let directory = open(root.path());
        commit(&directory, "1");
        // As after a crash in step 1: one of two files is staged.
        fs::create_dir(root.path().join(STAGED)).unwrap();
        fs::write(root.path().join(STAGED).join("key"), "key 2").unwrap();
        assert_eq!(directory.recover().unwrap(), Recovery::RolledBack);
        assert_eq!(contents(&directory), ["key 1", "tlscert 1"]);
        assert_eq!(directory.recover().unwrap(), Recovery::NotNeeded);
    }

    #[test]
    fn a_set_interrupted_after_the_commit_is_completed() {
        let root = tempfile::tempdir().unwrap();
        let directory = open(root.path());
        commit(&directory, "1");
        // As after a crash in step 3: `key` is at its final path, `tlscert` is not.
        fs::create_dir(root.path().join(COMMIT)).unwrap();
        fs::write(root.path().join("key"), "key 2").unwrap();
        fs::write(root.path().join(COMMIT).join("tlscert"), "tlscert 2").unwrap();
        assert_eq!(directory.recover().unwrap(), Recovery::Completed);
        assert_eq!(contents(&directory), ["key 2", "tlscert 2"]);
        assert_eq!(directory.recover().unwrap(), Recovery::NotNeeded);
    }

    #[test]
    fn recovery_follows_no_planted_link() {
        let root = tempfile::tempdir().unwrap();
        let [out, elsewhere] = ["out", "elsewhere"].map(|name| root.path().join(name));
        for directory in [&out, &elsewhere] {
            fs::create_dir(directory).unwrap();
        }
        let planted = || {
            fs::create_dir(out.join(COMMIT)).unwrap();
            fs::write(elsewhere.join("x"), "theirs").unwrap();
        };
        // The file behind the link must not be moved into the directory.
        planted();
        symlink(&elsewhere, out.join(COMMIT).join("sub")).unwrap();
        assert_eq!(open(&out).recover().unwrap(), Recovery::Completed);
        assert_eq!(fs::read_to_string(elsewhere.join("x")).unwrap(), "theirs");
        assert!(!out.join("sub").exists() && !out.join(COMMIT).exists());

        // Nor may a file of the set be moved behind the link.
        planted();
        fs::create_dir(out.join(COMMIT).join("sub")).unwrap();
        fs::write(out.join(COMMIT).join("sub/x"), "key").unwrap();
        symlink(&elsewhere, out.join("sub")).unwrap();
        open(&out).recover().unwrap_err();
        assert_eq!(fs::read_to_string(elsewhere.join("x")).unwrap(), "theirs");
    }

    #[test]
    fn planted_entries_with_the_names_of_staging_directories_are_refused() {
        for name in [STAGED, COMMIT] {
            for plant in
                [|path: &Path| fs::write(path, "").unwrap(), |path: &Path| symlink("/", path).unwrap()]
            {
                let root = tempfile::tempdir().unwrap();
                plant(&root.path().join(name));
                match open(root.path()).recover().unwrap_err() {
                    DirectoryError::Obstructed { path, .. } => assert_eq!(path, root.path().join(name)),
                    error => panic!("{error:?}"),
                }
            }
        }
    }

    #[test]
    #[ignore = "needs root"]
    fn a_staging_directory_may_belong_to_the_owner_of_the_directory_but_to_nobody_else() {
        const ALICE: u32 = 1;
        const BOB: u32 = 2;
        for (owner, is_removed) in [(ALICE, true), (BOB, false)] {
            let root = tempfile::tempdir().unwrap();
            let path = root.path().join("out");
            let staged = path.join(STAGED);
            fs::create_dir_all(&staged).unwrap();
            chown(&staged, Some(owner), None).unwrap();
            chown(&path, Some(ALICE), None).unwrap();
            assert_eq!(open(&path).recover().is_ok(), is_removed);
            assert_eq!(staged.exists(), !is_removed);
        }
    }

    #[test]
    fn names_that_are_not_utf8_do_not_stop_a_rollback() {
        let root = tempfile::tempdir().unwrap();
        let staged = root.path().join(STAGED);
        fs::create_dir(&staged).unwrap();
        fs::write(staged.join(OsStr::from_bytes(b"\xff")), "").unwrap();
        assert_eq!(open(root.path()).recover().unwrap(), Recovery::RolledBack);
        assert!(!staged.exists());
    }

    #[test]
    fn a_subdirectory_is_replaced_with_its_set() {
        let root = tempfile::tempdir().unwrap();
        let directory = open(root.path());
        for version in ["1", "2"] {
            let mut files = files(version);
            files.push(("cockroach/node.key".to_owned(), version.as_bytes().to_vec()));
            directory.commit(&files, &ReaderGrant::default()).unwrap();
        }
        assert_eq!(fs::read_to_string(root.path().join("cockroach/node.key")).unwrap(), "2");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 4, "with .tbot-lock");
    }
}
