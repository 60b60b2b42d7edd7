//! Errors from opening a directory and accessing its files.

use std::io;
use std::path::PathBuf;

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::agent::platform::Hint;

/// A directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// A system call failed.
    #[error("cannot {operation} {path}")]
    Io {
        /// What was attempted, as a verb phrase that the path follows.
        operation: &'static str,
        /// The directory or file.
        path: PathBuf,
        /// The error of the system call.
        #[source]
        error: io::Error,
        /// What the operator can do.
        hint: Option<Hint>,
    },
    /// Another agent uses this storage directory.
    #[error("the storage {0} is locked: is another tbot running?")]
    Locked(PathBuf),
    /// Something that the agent did not create is in the way of its files.
    #[error("{path} is {obstacle} and was not created by this agent")]
    Obstructed {
        /// The path of the obstacle.
        path: PathBuf,
        /// What is at the path.
        obstacle: Obstacle,
    },
}

/// Something that is in the way of the agent's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Obstacle {
    /// A symbolic link that leads elsewhere.
    #[error("a symbolic link")]
    SymbolicLink,
    /// A directory.
    #[error("a directory")]
    Directory,
    /// A directory of another user.
    #[error("another user's directory")]
    ForeignDirectory,
    /// A regular file.
    #[error("a file")]
    File,
    /// A regular file of a user who is neither the agent's nor the owner of the directory.
    #[error("a file whose owner is neither the agent's user nor the owner of the directory")]
    ForeignFile,
    /// A regular file that can also be reached by another path.
    #[error("a file with more than one hard link")]
    HardLinkedFile,
    /// A pipe, a socket or a device.
    #[error("a special file (a pipe, socket or device)")]
    SpecialFile,
}

impl Obstacle {
    pub(in crate::agent::destination) fn of_type(file_type: FileType) -> Self {
        match file_type {
            FileType::Symlink => Self::SymbolicLink,
            FileType::Directory => Self::Directory,
            FileType::RegularFile => Self::File,
            _ => Self::SpecialFile,
        }
    }
}

impl DirectoryError {
    /// Returns what the operator can do.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Io { hint, .. } => hint.clone(),
            Self::Locked(_) => Some(Hint::new(
                "stop the other tbot, because the server locks a bot whose identity is used by two agents",
            )),
            Self::Obstructed { .. } => Some(Hint::new("remove it, or use another directory")),
        }
    }

    /// Returns an I/O error with a hint that follows from the error number.
    pub(super) fn io(operation: &'static str, path: PathBuf, error: io::Error) -> Self {
        let hint = match Errno::from_io_error(&error) {
            Some(Errno::LOOP) => Some("it is a symbolic link, which is never followed here: remove it"),
            Some(Errno::ACCESS | Errno::PERM) => {
                Some("check the owner and mode of the directory and the file")
            }
            Some(Errno::NOSPC) => Some("the disk is full"),
            Some(Errno::DQUOT) => Some("the user's disk quota is exceeded"),
            Some(Errno::FBIG) => {
                Some("this process may not write files of this size: raise its limit (ulimit -f)")
            }
            Some(Errno::MFILE) => Some("this process may not open more files: raise its limit (ulimit -n)"),
            Some(Errno::NOTSUP) => Some("the file system does not support this"),
            _ => None,
        };
        Self::Io { operation, path, error, hint: hint.map(Hint::new) }
    }
}
