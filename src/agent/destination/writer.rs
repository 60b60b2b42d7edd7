//! Where an output's files go: a folder, memory, or a Kubernetes Secret. Takes a set of named files and knows nothing of
//! what is in them. Chooses how a folder's set changes; the I/O itself is in `generation`, `durable`, `in_place`, `kube`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::agent::destination::atomic_write::NewFile;
use crate::agent::destination::directory::{Folder, FolderError};
use crate::agent::destination::kubernetes_secret::{self, KubeError, Secret};
use crate::agent::destination::permissions::Grant;
use crate::agent::destination::readers::{Access, ReaderError};
use crate::agent::platform::options::{Clock, Environment};
use crate::config::{self, AclMode, SymlinkMode};

/// A destination that cannot take files.
#[derive(Debug, thiserror::Error)]
pub enum DestinationError {
    /// A folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A reader of a folder.
    #[error(transparent)]
    Reader(#[from] ReaderError),
    /// A Kubernetes Secret.
    #[error(transparent)]
    Secret(#[from] KubeError),
    /// `acls: required`, and lists are not as they must be.
    #[error("{0}; set the access lists anew (tbot init), or set acls: try")]
    Access(String),
}

/// Where to write, before anything is opened.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Directory(Directory),
    Memory,
    Secret(Box<Secret>),
}

/// A folder, as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Directory {
    pub(crate) path: PathBuf,
    pub(crate) symlinks: SymlinkMode,
    pub(crate) access: Access,
}

/// An output's files. Prints without their content, which holds keys.
pub(crate) struct Destination {
    place: Place,
    memory: Mutex<BTreeMap<String, Vec<u8>>>,
    /// What the log has been told already.
    said: Mutex<BTreeSet<String>>,
}

impl Place {
    /// Reads nothing but the environment that it is given.
    pub(crate) fn new(
        destination: &config::Destination,
        environment: &Environment,
        clock: &Clock,
    ) -> Result<Self, DestinationError> {
        Ok(match destination {
            config::Destination::Directory(directory) => Self::Directory(Directory::new(directory)),
            config::Destination::Memory(_) => Self::Memory,
            config::Destination::KubernetesSecret(secret) => {
                Self::Secret(Box::new(Secret::new(secret, environment, clock)?))
            }
        })
    }
}

impl Directory {
    pub(crate) fn new(directory: &config::Directory) -> Self {
        Self {
            path: PathBuf::from(directory.path.as_str()),
            symlinks: directory.symlinks.unwrap_or(SymlinkMode::TrySecure),
            access: Access::new(directory),
        }
    }

    /// A folder with the default settings.
    #[cfg(test)]
    pub(crate) fn at(path: &Path) -> Self {
        let directory = serde_json::json!({ "path": path });
        Self::new(&serde_json::from_value(directory).unwrap())
    }

    pub(crate) fn open(&self) -> Result<Folder, FolderError> {
        Folder::open(&self.path, self.symlinks)
    }

    /// Sees whether access lists work here and every reader is known. Fails only with `acls: required`; with `try` it
    /// answers what does not work.
    pub(crate) fn test_access(&self) -> Result<Option<DestinationError>, DestinationError> {
        if self.access.mode == AclMode::Off || !(self.access.has_readers() || self.access.is_required()) {
            return Ok(None);
        }
        let test = || {
            let (grant, unknown) = self.access.grant()?;
            let folder = self.open()?;
            if folder.is_ours()? {
                folder.test_access(&grant)?;
            }
            Ok(unknown.map(DestinationError::from))
        };
        match test() {
            Err(error) if !self.access.is_required() => Ok(Some(error)),
            tested => tested,
        }
    }
}

impl Destination {
    pub(crate) fn new(place: Place) -> Self {
        Self { place, memory: Mutex::default(), said: Mutex::default() }
    }

    /// The folder, for files that name their neighbours.
    pub(crate) fn directory(&self) -> Option<&Path> {
        match &self.place {
            Place::Directory(directory) => Some(&directory.path),
            Place::Memory | Place::Secret(_) => None,
        }
    }

    /// At the start: sees whether the agent could do at all what is configured.
    pub(crate) fn test(&self) -> Result<(), DestinationError> {
        let Place::Directory(directory) = &self.place else { return Ok(()) };
        if directory.access.mode == AclMode::Off && directory.access.has_readers() {
            self.say_once("acls is off, so that the readers are not given access");
        }
        if let Some(problem) = directory.test_access()? {
            self.warn_once(problem);
        }
        Ok(())
    }

    /// Puts in order what a crash left, and sees whether the files could be written, so that nothing is asked of the
    /// server in vain.
    pub(crate) fn prepare(&self) -> Result<(), DestinationError> {
        let directory = match &self.place {
            Place::Directory(directory) => directory,
            Place::Secret(secret) => return Ok(secret.test_write()?),
            Place::Memory => return Ok(()),
        };
        let folder = directory.open()?;
        if folder.is_ours()? {
            folder.recover()?;
            folder.recover_generations()?;
        }
        Ok(folder.test_write()?)
    }

    /// Writes the set. A folder is opened anew each time: it may have been replaced or mounted since.
    pub(crate) fn write(&self, files: Vec<NewFile>) -> Result<(), DestinationError> {
        match &self.place {
            Place::Directory(directory) => self.write_to_folder(directory, &files),
            Place::Secret(secret) => {
                secret.write(&kubernetes_secret::content(files), None)?;
                Ok(())
            }
            Place::Memory => {
                *held(&self.memory) = files.into_iter().collect();
                Ok(())
            }
        }
    }

    /// A file's content, where the destination is memory.
    pub(crate) fn in_memory(&self, name: &str) -> Option<Vec<u8>> {
        held(&self.memory).get(name).cloned()
    }

    fn write_to_folder(&self, directory: &Directory, files: &[NewFile]) -> Result<(), DestinationError> {
        let folder = directory.open()?;
        if folder.takes_only_writing_in_place(files)? {
            self.say_once(
                "files are written in place, because the folder or a file is another user's: who reads during a \
                 renewal may see files of two generations",
            );
            self.check_access(directory, &folder, files)?;
            return Ok(folder.write_in_place(files)?);
        }
        let (grant, unknown) = directory.access.grant()?;
        if let Some(unknown) = unknown {
            self.warn_once(unknown);
        }
        self.replace(directory, &folder, files, &grant)?;
        if let Some(error) = grant.refused() {
            self.warn_once(format!("the readers could not be given access: {error}"));
        }
        Ok(())
    }

    fn replace(
        &self,
        directory: &Directory,
        folder: &Folder,
        files: &[NewFile],
        grant: &Grant,
    ) -> Result<(), FolderError> {
        let why = if directory.symlinks == SymlinkMode::Secure {
            "symlinks is secure"
        } else if folder.has_links()? {
            return folder.switch(files, grant);
        } else {
            "the file system has no links"
        };
        self.say_once(&format!(
            "files are replaced one after the other, because {why}: who reads during a renewal may see files of two \
             generations"
        ));
        folder.leave_generations()?;
        folder.commit(files, grant)
    }

    /// Somebody else prepared this folder; its lists are theirs, and only looked at.
    fn check_access(
        &self,
        directory: &Directory,
        folder: &Folder,
        files: &[NewFile],
    ) -> Result<(), DestinationError> {
        if directory.access.mode == AclMode::Off {
            return Ok(());
        }
        match folder.access_problem(files)? {
            None => Ok(()),
            Some(problem) if directory.access.is_required() => Err(DestinationError::Access(problem)),
            Some(problem) => {
                self.warn_once(problem);
                Ok(())
            }
        }
    }

    fn say_once(&self, what: &str) {
        if held(&self.said).insert(what.to_owned()) {
            tracing::info!(destination = ?self.place_name(), "{what}");
        }
    }

    fn warn_once(&self, problem: impl fmt::Display) {
        let problem = problem.to_string();
        if held(&self.said).insert(problem.clone()) {
            tracing::warn!(destination = ?self.place_name(), "{problem}");
        }
    }

    fn place_name(&self) -> &Path {
        self.directory().unwrap_or_else(|| Path::new("memory"))
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A poisoned lock only says that another thread ended while it held a value that is still whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.place, f)
    }
}

#[cfg(test)]
mod tests;
