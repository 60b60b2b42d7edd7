//! Names generation directories, and resolves the links that lead to the current one.

use std::os::fd::OwnedFd;

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::agent::destination::directory::{DirectoryError, DirectoryHandle};
use crate::agent::platform::regular_file::Obstacle;

/// The link to the current generation directory.
pub(super) const CURRENT: &str = "..data";

/// Returns the name of a generation directory.
pub(super) fn directory_name(number: u64) -> String {
    format!("..{number}")
}

/// Returns the number in the name of a generation directory, or `None` for any other name.
pub(super) fn directory_number(name: &str) -> Option<u64> {
    let number = name.strip_prefix("..")?.parse().ok()?;
    // `parse` accepts a sign and leading zeros, which the agent never writes.
    (directory_name(number) == name).then_some(number)
}

impl DirectoryHandle {
    /// Returns the number of the current generation directory, or `None` if there is none.
    pub(super) fn current_generation_number(&self) -> Result<Option<u64>, DirectoryError> {
        let obstructed = |file_type| self.obstructed(CURRENT, Obstacle::of_type(file_type));
        match self.file_type(CURRENT)? {
            None => Ok(None),
            Some(FileType::Symlink) => {
                let number = self.link_target(CURRENT)?.as_deref().and_then(directory_number);
                number.map(Some).ok_or_else(|| obstructed(FileType::Symlink))
            }
            Some(file_type) => Err(obstructed(file_type)),
        }
    }

    /// Opens the current generation directory. Returns `None` if there is none.
    pub(in crate::agent::destination) fn open_current_generation_directory(
        &self,
    ) -> Result<Option<OwnedFd>, DirectoryError> {
        self.current_generation_number()?
            .map(|number| self.open_own_subdirectory(&directory_name(number)))
            .transpose()
    }

    /// Returns true if `name` is a link to the file or subdirectory of that name in the current generation
    /// directory.
    pub(in crate::agent::destination) fn is_own_link(&self, name: &str) -> Result<bool, DirectoryError> {
        Ok(self.link_target(name)?.is_some_and(|target| target == format!("{CURRENT}/{name}")))
    }

    fn link_target(&self, name: &str) -> Result<Option<String>, DirectoryError> {
        match rustix::fs::readlinkat(&self.fd, name, Vec::new()) {
            Ok(target) => Ok(target.into_string().ok()),
            Err(Errno::INVAL | Errno::NOENT) => Ok(None),
            Err(error) => Err(self.io_error("inspect", name, error)),
        }
    }
}
