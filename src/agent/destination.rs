//! Where an output's files go: a folder, or memory. One I/O edge, through `folder` and `durable`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::durable::NewFile;
use super::folder::{Folder, FolderError};
use crate::config::SymlinkMode;

/// Where to write, before anything is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Directory { path: PathBuf, symlinks: SymlinkMode },
    Memory,
}

/// An output's files. Prints without their content, which holds keys.
pub(crate) struct Destination {
    place: Place,
    memory: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl Destination {
    pub(crate) fn new(place: Place) -> Self {
        Self { place, memory: Mutex::default() }
    }

    /// The folder, for files that name their neighbours.
    pub(crate) fn directory(&self) -> Option<&Path> {
        match &self.place {
            Place::Directory { path, .. } => Some(path),
            Place::Memory => None,
        }
    }

    /// Puts in order what a crash left, and sees whether the files could be written, so that nothing is asked of the
    /// server in vain.
    pub(crate) fn prepare(&self) -> Result<(), FolderError> {
        match self.open()? {
            Some(folder) => {
                folder.recover()?;
                folder.test_write()
            }
            None => Ok(()),
        }
    }

    /// Writes the set. A folder is opened anew each time: it may have been replaced or mounted since.
    pub(crate) fn write(&self, files: Vec<NewFile>) -> Result<(), FolderError> {
        match self.open()? {
            Some(folder) if folder.takes_only_writing_in_place(&files)? => folder.write_in_place(&files),
            Some(folder) => folder.commit(&files),
            None => {
                *self.files() = files.into_iter().collect();
                Ok(())
            }
        }
    }

    /// A file's content, where the destination is memory.
    pub(crate) fn in_memory(&self, name: &str) -> Option<Vec<u8>> {
        self.files().get(name).cloned()
    }

    fn open(&self) -> Result<Option<Folder>, FolderError> {
        match &self.place {
            Place::Directory { path, symlinks } => Folder::open(path, *symlinks).map(Some),
            Place::Memory => Ok(None),
        }
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.place, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(content: &str) -> Vec<NewFile> {
        vec![("key".to_owned(), content.as_bytes().to_vec())]
    }

    #[test]
    fn memory_holds_the_last_set_only() {
        let memory = Destination::new(Place::Memory);
        memory.write(vec![("old".to_owned(), vec![])]).unwrap();
        memory.write(files("2")).unwrap();
        assert_eq!(format!("{memory:?}"), "Memory");
        assert_eq!((memory.in_memory("key"), memory.in_memory("old")), (Some(b"2".to_vec()), None));
    }

    #[test]
    fn a_folder_that_vanished_is_made_again() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("out");
        let place = Place::Directory { path: path.clone(), symlinks: SymlinkMode::TrySecure };
        let destination = Destination::new(place);
        destination.write(files("1")).unwrap();
        std::fs::remove_dir_all(&path).unwrap();
        destination.prepare().unwrap();
        destination.write(files("2")).unwrap();
        assert_eq!(std::fs::read_to_string(path.join("key")).unwrap(), "2");
    }
}
