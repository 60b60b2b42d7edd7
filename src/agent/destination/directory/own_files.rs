//! Opens the files that the agent creates for its own use: empty files that it only locks, and an empty file for tests.
//!
//! Nothing is ever written to a file to lock, so it may have a second name: `cp -al` of a directory, for a snapshot, gives one to
//! every file.

use std::fs::File;
use std::os::fd::AsFd;

use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::{DirectoryError, DirectoryHandle, WRITE_TEST, tree};
use crate::agent::destination::permissions::set_owner;
use crate::agent::platform::regular_file::Obstacle;

/// The mode of the files: a user who can open a file can lock it and block the agent.
const OWNER_ONLY: Mode = Mode::RUSR.union(Mode::WUSR);

impl DirectoryHandle {
    /// Opens a file to lock, and creates it if it is missing. Restricts its mode.
    pub(super) fn open_to_lock(&self, name: &str) -> Result<File, DirectoryError> {
        // Opened for writing, because NFS requires that for a lock.
        let file = match self.open_file(name, OFlags::RDWR | OFlags::CREATE, "open") {
            // Replacing it would let two processes lock different files.
            Err(refused) if is_hard_linked(&refused) => return self.open_if_empty(name, refused),
            opened => opened?,
        };
        self.give_to_owner(&file)?;
        let mode = Mode::from_raw_mode(self.stat_of(&file, name)?.st_mode);
        if mode != OWNER_ONLY {
            match rustix::fs::fchmod(&file, OWNER_ONLY) {
                // It belongs to the owner of the directory, or the file system gives every file the same mode.
                Ok(()) | Err(Errno::PERM) => {}
                Err(error) => return Err(self.io_error("restrict the mode of", name, error)),
            }
        }
        Ok(file)
    }

    /// Opens the test file for writing, and creates it if it is missing.
    pub(in crate::agent::destination) fn open_write_test(
        &self,
        operation: &'static str,
    ) -> Result<File, DirectoryError> {
        let open = || self.open_file(WRITE_TEST, OFlags::WRONLY | OFlags::CREATE, operation);
        let file = match open() {
            Err(refused) if is_hard_linked(&refused) => {
                self.open_if_empty(WRITE_TEST, refused)?;
                self.remove_file(WRITE_TEST)?;
                open()?
            }
            opened => opened?,
        };
        self.give_to_owner(&file)?;
        Ok(file)
    }

    /// Gives a new file or subdirectory to the owner of this directory, which root may use once for the agent's usual user. One that
    /// is not empty stays root's: the owner of the directory may have moved it here, to read it.
    pub(in crate::agent::destination) fn give_to_owner(&self, file: impl AsFd) -> Result<(), DirectoryError> {
        let stat = self.stat_of(&file, ".")?;
        let is_empty = if FileType::from_raw_mode(stat.st_mode).is_dir() {
            tree::list(&file).map_err(|error| self.io_error("list", ".", error))?.is_empty()
        } else {
            stat.st_size == 0
        };
        if is_empty {
            set_owner(file, self.owner()?);
        }
        Ok(())
    }

    /// Opens a file that has a second name for reading, or returns the error `refused` if it is not empty.
    fn open_if_empty(&self, name: &str, refused: DirectoryError) -> Result<File, DirectoryError> {
        let file = self.open_file(name, OFlags::RDONLY, "open")?;
        if self.stat_of(&file, name)?.st_size == 0 { Ok(file) } else { Err(refused) }
    }

    fn stat_of(&self, file: impl AsFd, name: &str) -> Result<Stat, DirectoryError> {
        rustix::fs::fstat(file).map_err(|error| self.io_error("inspect", name, error))
    }
}

fn is_hard_linked(error: &DirectoryError) -> bool {
    matches!(error, DirectoryError::Obstructed { obstacle: Obstacle::HardLinkedFile, .. })
}
