//! Writes a new file into a staging directory, with the permissions of the file that it will replace.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::agent::destination::directory::{DirectoryError, DirectoryHandle, Obstacle, tree};
use crate::agent::destination::permissions::{Permissions, ReaderGrant};

/// A file of a set: its name in the directory, with at most one subdirectory (`cockroach/node.key`), and its content.
pub(crate) type NewFile = (String, Vec<u8>);

impl DirectoryHandle {
    /// Writes one file of a set into the new subdirectory `staging`, whose name is `staging_name`.
    pub(super) fn stage_file(
        &self,
        staging: &OwnedFd,
        staging_name: &str,
        name: &str,
        content: &[u8],
        grant: &ReaderGrant,
    ) -> Result<(), DirectoryError> {
        let path = format!("{staging_name}/{name}");
        let replaced = self.permissions_of(name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = tree::with_parent(staging, name, true, |directory, file| {
            rustix::fs::openat(directory, file, flags, Mode::RUSR | Mode::WUSR)
        });
        let fd = fd.map_err(|error| self.io_error("write", &path, error))?;
        grant
            .apply_to_file(&fd, replaced.as_ref())
            .map_err(|error| self.io_error("give readers access to", name, error))?;
        let mut file = File::from(fd);
        file.write_all(content)
            .and_then(|()| file.sync_all())
            .map_err(|error| self.io_error("write", &path, error))
    }

    /// Returns the permissions of the file that `name` resolves to, or `None` if there is no such file. Refuses links
    /// and special files that the agent did not create.
    fn permissions_of(&self, name: &str) -> Result<Option<Permissions>, DirectoryError> {
        let top = tree::top_level(name);
        let failed = |error: Errno| self.io_error("inspect", name, error);
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
        // Opened without blocking: it may have become a pipe by now.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = tree::with_parent(current.as_ref().unwrap_or(&self.fd), name, false, |directory, file| {
            rustix::fs::openat(directory, file, flags, Mode::empty())
        });
        match file {
            Ok(file) => Permissions::read(&file).map(Some).map_err(failed),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }
}
