//! Writes new files into a staging directory, with the permissions of the files that they will replace.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::os::fd::OwnedFd;

use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use crate::agent::destination::directory::{DirectoryError, DirectoryHandle, tree};
use crate::agent::destination::permissions::{Permissions, ReaderGrant};
use crate::agent::platform::regular_file::{Obstacle, RegularFileError};

/// A file of a set: its name in the directory, with at most one subdirectory (`cockroach/node.key`), and its content.
pub(crate) type NewFile = (String, Vec<u8>);

/// How many files of a set are open at the same time.
const OPEN_FILES: usize = 8;

/// A file to stage.
pub(super) struct StagedFile<'a> {
    pub(super) name: &'a str,
    pub(super) content: &'a [u8],
    /// The permissions of the file that it replaces.
    pub(super) replaced: Option<Permissions>,
}

impl DirectoryHandle {
    /// Writes and fsyncs files of a set in the new subdirectory `staging`, whose name is `staging_name`. Each gets the permissions of
    /// the file that it replaces.
    ///
    /// All files of a batch are written before the first one is fsynced, because the first fsync then also writes what they share:
    /// the entries of the directory, or a journal.
    pub(super) fn stage_files(
        &self,
        staging: &OwnedFd,
        staging_name: &str,
        files: &[StagedFile<'_>],
        grant: &ReaderGrant,
    ) -> Result<(), DirectoryError> {
        let failed = |name: &str, error| self.io_error("write", &format!("{staging_name}/{name}"), error);
        for batch in files.chunks(OPEN_FILES) {
            let mut written = Vec::with_capacity(batch.len());
            for StagedFile { name, content, replaced } in batch {
                let mut file =
                    self.create_staged_file(staging, staging_name, name, grant, replaced.as_ref())?;
                file.write_all(content).map_err(|error| failed(name, error))?;
                written.push((name, file));
            }
            for (name, file) in written {
                file.sync_all().map_err(|error| failed(name, error))?;
            }
        }
        Ok(())
    }

    /// Creates an empty file in the new subdirectory `staging`.
    pub(super) fn create_staged_file(
        &self,
        staging: &OwnedFd,
        staging_name: &str,
        name: &str,
        grant: &ReaderGrant,
        replaced: Option<&Permissions>,
    ) -> Result<File, DirectoryError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let owners = self.trusted_owners()?;
        let file = tree::open_file(staging, name, flags, &owners)
            .map_err(|error| self.file_error("write", &format!("{staging_name}/{name}"), error))?;
        let fd = OwnedFd::from(file);
        grant
            .apply_to_file(&fd, name, replaced)
            .map_err(|error| self.io_error("give readers access to", name, error))?;
        match replaced {
            Some(replaced) => replaced.apply_owner_to(&fd),
            None => self.give_to_owner(&fd)?,
        }
        Ok(fd.into())
    }

    /// Returns an error if files with these names could not be replaced, because something that the agent did not create is in their
    /// way.
    pub(crate) fn check_replaceable(&self, names: &[&str]) -> Result<(), DirectoryError> {
        names.iter().try_for_each(|name| self.permissions_of(name).map(drop))
    }

    /// Returns the permissions of the file that `name` resolves to, or `None` if there is no such file. Refuses links
    /// and special files that the agent did not create.
    ///
    /// Also returns `None` in a directory that every user may write to, because another user may have put the file there.
    pub(super) fn permissions_of(&self, name: &str) -> Result<Option<Permissions>, DirectoryError> {
        let top = tree::top_level(name);
        let current = match self.file_type(top)? {
            None => return Ok(None),
            Some(FileType::RegularFile | FileType::Directory) => None,
            Some(FileType::Symlink) if self.is_own_link(top)? => {
                match self.open_current_generation_directory()? {
                    Some(current) => Some(current),
                    None => return Ok(None),
                }
            }
            Some(file_type) => return Err(self.obstructed(top, Obstacle::of_type(file_type))),
        };
        if self.is_writable_by_others()? {
            return Ok(None);
        }
        Ok(self
            .open_replaced(current.as_ref().unwrap_or(&self.fd), name)?
            .map(|(_, permissions)| permissions))
    }

    /// Opens the file of a directory that a new one will replace, and reads its permissions. Returns `None` if there is no such file.
    pub(super) fn open_replaced(
        &self,
        directory: &OwnedFd,
        name: &str,
    ) -> Result<Option<(File, Permissions)>, DirectoryError> {
        let owners = self.trusted_owners()?;
        match tree::open_file(directory, name, OFlags::RDONLY, &owners) {
            Ok(file) => {
                let permissions =
                    Permissions::read(&file).map_err(|error| self.io_error("inspect", name, error))?;
                Ok(Some((file, permissions)))
            }
            Err(RegularFileError::Io(error)) if Errno::from_io_error(&error) == Some(Errno::NOENT) => {
                Ok(None)
            }
            Err(error) => Err(self.file_error("inspect", name, error)),
        }
    }
}

/// Replaces the content of an open file, and fsyncs it. The file is truncated only after writing, so that a full disk
/// does not destroy the old content.
pub(super) fn overwrite(file: &mut File, content: &[u8]) -> std::io::Result<()> {
    overwrite_unsynced(file, content)?;
    file.sync_all()
}

/// Like [`overwrite`], but without the fsync.
pub(super) fn overwrite_unsynced(file: &mut File, content: &[u8]) -> std::io::Result<()> {
    file.rewind()?;
    file.write_all(content)?;
    file.set_len(content.len().try_into().unwrap_or(u64::MAX))
}
