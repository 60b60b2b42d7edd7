//! Errors from opening a directory and accessing its files.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

use super::lock_holder::LockHolder;
use crate::agent::platform::Hint;
use crate::agent::platform::regular_file::Obstacle;

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
        /// Advice for the operator.
        hint: Option<Hint>,
    },
    /// Another agent uses this storage directory.
    #[error("the storage directory {0} is locked by another process")]
    Locked(PathBuf),
    /// Something that the agent did not create is in the way of its files.
    #[error("{path} is {obstacle} and was not created by this agent")]
    Obstructed {
        /// The path of the obstacle.
        path: PathBuf,
        /// What is at the path.
        obstacle: Obstacle,
    },
    /// Another process has kept the lock for changes to a directory for too long.
    #[error(
        "{path} is locked by {}",
        holder.as_ref().map_or_else(|| "another process".to_owned(), ToString::to_string)
    )]
    Busy {
        /// The lock file.
        path: PathBuf,
        /// The process that holds the lock, if it can be determined.
        holder: Option<LockHolder>,
    },
    /// Other users may replace the directory, or one of its parents, with a directory of their own.
    #[error("cannot keep keys in {path}: every user may write to {parent}, and can replace what is in it")]
    ReplaceableByOthers {
        /// The directory.
        path: PathBuf,
        /// The parent that others may write to.
        parent: PathBuf,
    },
    /// The directory belongs to another user, and it is unknown who has put it there.
    #[error(
        "cannot keep keys in {path}: it belongs to the user with id {owner}, who may have put it there, because more users \
         than the owner may write to {parent}"
    )]
    ForeignInSharedParent {
        /// The directory.
        path: PathBuf,
        /// The owner of the directory.
        owner: u32,
        /// The parent that several users may write to.
        parent: PathBuf,
    },
    /// The owner of the directory has changed to another user, who may have put it in the place of the agent's.
    #[error("the owner of {path} has changed: it now belongs to the user with id {owner}")]
    OwnerChanged {
        /// The directory.
        path: PathBuf,
        /// The new owner.
        owner: u32,
    },
    /// The directory contains the links of an agent, and somebody has given it to another user.
    #[error(
        "{path} belongs to the user with id {owner}, but its files are links that an agent of another user has created"
    )]
    LinksInForeignDirectory {
        /// The directory.
        path: PathBuf,
        /// The owner of the directory.
        owner: u32,
    },
    /// A file that the agent would overwrite is accessible to a group, and any user may have put it there.
    #[error(
        "{path} is accessible to a group, and every user may write to its directory and may have put it there"
    )]
    AccessibleToGroup {
        /// The file.
        path: PathBuf,
    },
    /// A file that the agent would overwrite in another user's directory is accessible to everyone.
    #[error("{path} is accessible to all users")]
    AccessibleToOthers {
        /// The file.
        path: PathBuf,
    },
}

impl DirectoryError {
    /// Returns advice for the operator, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Io { hint, .. } => hint.clone(),
            Self::Locked(_) => Some(Hint::new(
                "if another tbot uses it, stop that tbot, because the server locks a bot whose identity is used by two agents",
            )),
            Self::Obstructed { .. } => Some(Hint::new("remove it, or use another directory")),
            Self::Busy { .. } => Some(Hint::new("let the other process continue, or stop it")),
            Self::ReplaceableByOthers { .. } => Some(Hint::new(
                "remove that permission (chmod o-w), or accept the risk with symlinks: insecure in the destination of a \
                 configuration file",
            )),
            Self::ForeignInSharedParent { .. } => Some(Hint::new(
                "use a directory below parents that only their owners may write to (mode 0755), or accept the risk with \
                 symlinks: insecure in the destination of a configuration file",
            )),
            Self::OwnerChanged { .. } if self.is_transient() => None,
            Self::OwnerChanged { .. } => Some(Hint::new(
                "restore the directory; if you have changed the owner yourself, run `tbot init` with --owner, and restart the agent",
            )),
            Self::LinksInForeignDirectory { .. } => Some(Hint::new(
                "run `tbot init` with --owner, or give it back to the agent's user (chown -R) and name the other user in `readers` of \
                 the destination",
            )),
            Self::AccessibleToGroup { .. } => Some(Hint::new(
                "remove the permissions of the group (chmod g-rwx) or of every user for the directory (chmod o-w), or set \
                 acls: off to write it anyway",
            )),
            Self::AccessibleToOthers { .. } => {
                Some(Hint::new("remove their permissions (chmod o-rwx), or set acls: off to write it anyway"))
            }
        }
    }

    /// Returns whether a retry may succeed without any change by the operator.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Busy { .. } | Self::Locked(_) => true,
            // The directory was given to the agent during an attempt, so the next one accepts it.
            Self::OwnerChanged { owner, .. } => *owner == rustix::process::geteuid().as_raw(),
            _ => false,
        }
    }

    /// Returns an I/O error with a hint that follows from the error number.
    pub(super) fn io(operation: &'static str, path: PathBuf, error: io::Error) -> Self {
        let hint = match Errno::from_io_error(&error) {
            Some(Errno::LOOP) => Some("it is a symbolic link, which is never followed here: remove it"),
            Some(Errno::ACCESS | Errno::PERM) => {
                Some("check the owner and mode of the directory and the file")
            }
            Some(Errno::NOSPC) => Some("the disk is full, or has no free inodes"),
            Some(Errno::DQUOT) => Some("the user's disk quota is exceeded"),
            Some(Errno::FBIG) => {
                Some("this process may not write files of this size: raise its limit (ulimit -f)")
            }
            Some(Errno::MFILE) => Some("this process may not open more files: raise its limit (ulimit -n)"),
            Some(Errno::NOLCK) => {
                Some("the file system does not support locks: mount it with locks, or use another directory")
            }
            Some(Errno::NOTSUP) => Some("the file system does not support this"),
            _ => None,
        };
        Self::Io { operation, path, error, hint: hint.map(Hint::new) }
    }
}
