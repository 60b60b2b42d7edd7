//! Configured destinations, before they are opened.

use std::path::PathBuf;

use crate::agent::destination::directory::{DirectoryError, DirectoryHandle};
use crate::agent::destination::error::DestinationError;
use crate::agent::destination::kubernetes_secret::SecretClient;
use crate::agent::destination::readers::ReaderAccess;
use crate::agent::platform::{Clock, Environment};
use crate::config::{self, AclMode, SymlinkMode};

/// A configured destination, which is not open yet.
#[derive(Clone, Debug)]
pub(crate) enum WriteTarget {
    Directory(DirectoryTarget),
    Memory,
    Secret(Box<SecretClient>),
}

/// A configured directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DirectoryTarget {
    pub(crate) path: PathBuf,
    pub(crate) symlinks: SymlinkMode,
    pub(crate) access: ReaderAccess,
}

impl WriteTarget {
    /// Creates the target of a configured destination. Performs no I/O.
    pub(crate) fn new(
        destination: &config::Destination,
        environment: &Environment,
        clock: &Clock,
    ) -> Result<Self, DestinationError> {
        Ok(match destination {
            config::Destination::Directory(directory) => Self::Directory(DirectoryTarget::new(directory)),
            config::Destination::Memory(_) => Self::Memory,
            config::Destination::KubernetesSecret(secret) => {
                Self::Secret(Box::new(SecretClient::new(secret, environment, clock)?))
            }
        })
    }
}

impl DirectoryTarget {
    pub(crate) fn new(directory: &config::Directory) -> Self {
        Self {
            path: PathBuf::from(directory.path.as_str()),
            symlinks: directory.symlinks.unwrap_or(SymlinkMode::TrySecure),
            access: ReaderAccess::new(directory),
        }
    }

    /// Returns a directory with default settings.
    #[cfg(test)]
    pub(crate) fn with_defaults(path: &std::path::Path) -> Self {
        let directory = serde_json::json!({ "path": path });
        Self::new(&serde_json::from_value(directory).unwrap())
    }

    pub(crate) fn open(&self) -> Result<DirectoryHandle, DirectoryError> {
        DirectoryHandle::open(&self.path, self.symlinks)
    }

    /// Tests whether ACLs work here and every reader is known. With `acls: try`, returns the problem instead of an
    /// error.
    ///
    /// # Errors
    ///
    /// Returns an error only if `acls` is `required`.
    pub(crate) fn test_access(&self) -> Result<Option<DestinationError>, DestinationError> {
        if self.access.mode == AclMode::Off || !(self.access.has_readers() || self.access.is_required()) {
            return Ok(None);
        }
        let test = || {
            let (grant, unknown_reader) = self.access.resolve()?;
            let directory = self.open()?;
            if directory.is_owned_by_agent()? {
                directory.test_acl(&grant)?;
            }
            Ok(unknown_reader.map(DestinationError::from))
        };
        match test() {
            Err(error) if !self.access.is_required() => Ok(Some(error)),
            result => result,
        }
    }
}
