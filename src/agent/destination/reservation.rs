//! Tests that a set of files can be replaced, and reserves what replacing it needs: descriptors, inodes and disk space.
//!
//! To be used before something is requested that cannot be requested twice. Only sets without subdirectories.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use crate::agent::destination::atomic_write::STAGED;
use crate::agent::destination::directory::{DirectoryError, DirectoryHandle, LockFile, WRITE_TEST, tree};
use crate::agent::destination::permissions::ReaderGrant;
use crate::agent::destination::staging::{NewFile, overwrite, overwrite_unsynced};
use crate::agent::platform::error_text::error_line;

/// The space to reserve for each file, in bytes: more than any file of an identity needs.
const RESERVED_SIZE: usize = 16 << 10;

/// A staged set whose content is not known yet: every file is open, and has its permissions and space on the disk.
#[derive(Debug)]
pub(crate) struct Reservation {
    staged: OwnedFd,
    files: BTreeMap<String, File>,
    lock_file: LockFile,
}

impl DirectoryHandle {
    /// Replaces each of these files with a copy of itself, which tests everything that replacing them needs, and
    /// reserves what the next set needs.
    pub(crate) fn reserve(&self, names: &[&str], grant: &ReaderGrant) -> Result<Reservation, DirectoryError> {
        let lock_file = self.open_lock_file()?;
        let _lock = self.lock_for_update()?;
        self.recover_locked()?;
        grant
            .apply_to_directory(&self.fd)
            .map_err(|error| self.io_error("give readers access to", ".", error))?;
        let reserved = self.rehearse(names, grant).and_then(|()| self.stage_reserved(names, grant));
        let (staged, files) = self.unstage_on_error(reserved)?;
        Ok(Reservation { staged, files, lock_file })
    }

    /// Replaces the reserved files as one set. Needs no further descriptor, inode or space.
    pub(crate) fn commit_reserved(
        &self,
        reservation: Reservation,
        files: &[NewFile],
    ) -> Result<(), DirectoryError> {
        let Reservation { staged, files: mut reserved, lock_file } = reservation;
        let _lock = self.lock_file(lock_file)?;
        let mut written = Vec::with_capacity(files.len());
        for (name, content) in files {
            let mut file = reserved.remove(name).ok_or_else(|| self.io_error("write", name, Errno::NOENT))?;
            overwrite_unsynced(&mut file, content).map_err(|error| self.io_error("write", name, error))?;
            written.push((name, file));
        }
        for (name, file) in written {
            file.sync_all().map_err(|error| self.io_error("write", name, error))?;
        }
        if let Some(name) = reserved.keys().next() {
            return Err(self.io_error("write", name, Errno::INVAL));
        }
        rustix::fs::fsync(&staged).map_err(|error| self.io_error("sync", STAGED, error))?;
        // The reserved files have their permissions already.
        let grant = ReaderGrant::default();
        self.commit_staged(&staged, files.iter().map(|(name, _)| name.as_str()), &grant)
    }

    /// Gives up a reservation, and frees what it has reserved. If that is not possible now, the next start does it.
    pub(crate) fn release(&self, reservation: Reservation) {
        if let Some(_lock) = self.try_lock_file(reservation.lock_file)
            && let Err(error) = self.remove_tree(STAGED)
        {
            tracing::debug!(
                "cannot release the space for a renewal yet: {}",
                error_line(&error, error.hint().as_ref())
            );
        }
    }

    /// Replaces each file with a copy of itself. At every moment of this, and after a crash, each file has its content.
    pub(super) fn rehearse(&self, names: &[&str], grant: &ReaderGrant) -> Result<(), DirectoryError> {
        let mut copies = vec![(WRITE_TEST, Vec::new())];
        for name in names {
            copies.extend(self.read(name)?.map(|content| (*name, content)));
        }
        let staged = self.create_staged_directory()?;
        self.stage_replacements(&staged, copies.iter().map(|(name, content)| (*name, &**content)), grant)?;
        tree::sync(&staged).map_err(|error| self.io_error("sync", STAGED, error))?;
        for (name, _) in &copies {
            rustix::fs::renameat(&staged, *name, &self.fd, *name)
                .map_err(|error| self.io_error("replace", name, error))?;
        }
        self.sync()?;
        self.remove_tree(STAGED)
    }

    fn stage_reserved(
        &self,
        names: &[&str],
        grant: &ReaderGrant,
    ) -> Result<(OwnedFd, BTreeMap<String, File>), DirectoryError> {
        let staged = self.create_staged_directory()?;
        let mut files = BTreeMap::new();
        for name in names {
            let replaced = self.permissions_of(name)?;
            let mut file = self.create_staged_file(&staged, STAGED, name, grant, replaced.as_ref())?;
            allocate(&mut file).map_err(|error| self.io_error("reserve space for", name, error))?;
            files.insert((*name).to_owned(), file);
        }
        Ok((staged, files))
    }
}

/// Allocates [`RESERVED_SIZE`] bytes on the disk.
fn allocate(file: &mut File) -> io::Result<()> {
    match rustix::fs::fallocate(&*file, FallocateFlags::empty(), 0, RESERVED_SIZE as u64) {
        // Without fsync, some file systems allocate space only later.
        Err(Errno::NOTSUP | Errno::NOSYS) => overwrite(file, &[0; RESERVED_SIZE]),
        allocated => Ok(allocated?),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::*;
    use crate::config::SymlinkMode;

    const NAMES: [&str; 2] = ["key", "tlscert"];

    fn open(path: &Path) -> DirectoryHandle {
        DirectoryHandle::open(path, SymlinkMode::TrySecure).unwrap()
    }

    fn files(content: &str) -> Vec<NewFile> {
        NAMES.map(|name| (name.to_owned(), content.as_bytes().to_vec())).to_vec()
    }

    fn contents(path: &Path) -> [String; 2] {
        NAMES.map(|name| fs::read_to_string(path.join(name)).unwrap())
    }

    #[test]
    fn a_reservation_changes_no_file_and_is_committed_or_released() {
        let root = tempfile::tempdir().unwrap();
        let directory = open(root.path());
        directory.commit(&files("1"), &ReaderGrant::default()).unwrap();
        fs::set_permissions(root.path().join("key"), fs::Permissions::from_mode(0o640)).unwrap();
        for content in ["2", "3"] {
            let before = contents(root.path());
            let reservation = directory.reserve(&NAMES, &ReaderGrant::default()).unwrap();
            assert_eq!(contents(root.path()), before);
            directory.commit_reserved(reservation, &files(content)).unwrap();
            assert_eq!(contents(root.path()), [content; 2]);
        }
        let mode = fs::metadata(root.path().join("key")).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o640);
        directory.release(directory.reserve(&NAMES, &ReaderGrant::default()).unwrap());
        assert_eq!(contents(root.path()), ["3"; 2]);
        let entries = fs::read_dir(root.path()).unwrap().count();
        assert_eq!(entries, 4, ".tbot-lock, .write-test, key and tlscert");
    }

    #[test]
    fn a_reservation_that_a_crash_left_is_rolled_back() {
        let root = tempfile::tempdir().unwrap();
        let directory = open(root.path());
        directory.commit(&files("1"), &ReaderGrant::default()).unwrap();
        drop(directory.reserve(&NAMES, &ReaderGrant::default()).unwrap());
        directory.recover().unwrap();
        assert_eq!(contents(root.path()), ["1"; 2]);
        assert!(!root.path().join(STAGED).exists());
    }

    #[test]
    fn a_file_that_cannot_be_replaced_is_noticed() {
        let root = tempfile::tempdir().unwrap();
        let directory = open(root.path());
        fs::create_dir(root.path().join("key")).unwrap();
        directory.reserve(&NAMES, &ReaderGrant::default()).unwrap_err();
        assert!(!root.path().join(STAGED).exists());
    }
}
