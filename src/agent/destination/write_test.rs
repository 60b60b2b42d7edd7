//! Tests whether a directory has room for the files of an output, before credentials are requested that cannot be requested
//! twice, or that could not be written the last time: a full disk, a quota or a limit on file sizes shows only when files are
//! written.

use crate::agent::destination::atomic_write::STAGED;
use crate::agent::destination::directory::{DirectoryError, DirectoryHandle, WRITE_TEST};
use crate::agent::destination::permissions::ReaderGrant;
use crate::agent::destination::staging::{NewFile, StagedFile, overwrite};

/// At least as many files as an output usually writes: those of an identity with two leaf clusters.
const FILES: usize = 16;
/// The size of each file, in bytes. Keys and certificates have a few KiB, lists of CAs of a large cluster more.
const FILE_SIZE: usize = 8 << 10;

/// The files of a test.
#[derive(Clone, Debug)]
pub(crate) struct TestSet {
    /// The size of each file, in bytes.
    sizes: Vec<usize>,
    /// Whether the links to the files have to be created, too. They remain when a set is replaced.
    with_links: bool,
}

impl TestSet {
    /// Returns the first set of an output whose files are not known yet.
    pub(crate) fn usual() -> Self {
        Self { sizes: vec![FILE_SIZE; FILES], with_links: true }
    }

    /// Returns a set that needs as much space as these files.
    pub(crate) fn like(files: &[NewFile]) -> Self {
        Self { sizes: files.iter().map(|(_, content)| content.len()).collect(), with_links: false }
    }
}

impl DirectoryHandle {
    /// Writes files as an output does, replaces one, and keeps the others in the staging directory, where they use up
    /// space and inodes until [`recover`](Self::recover) removes them: other outputs may share the file system.
    ///
    /// If this fails, nothing is kept.
    pub(crate) fn test_writing_set(&self, set: &TestSet) -> Result<(), DirectoryError> {
        let _lock = self.lock_for_update()?;
        self.recover_locked()?;
        let tested = self.rehearse(&[], &ReaderGrant::default()).and_then(|()| self.stage_test_set(set));
        self.unstage_on_error(tested)
    }

    fn stage_test_set(&self, set: &TestSet) -> Result<(), DirectoryError> {
        let staged = self.create_staged_directory()?;
        let contents: Vec<(String, Vec<u8>)> =
            set.sizes.iter().enumerate().map(|(number, size)| (number.to_string(), vec![0; *size])).collect();
        let files: Vec<_> =
            contents.iter().map(|(name, content)| StagedFile { name, content, replaced: None }).collect();
        let grant = ReaderGrant::default();
        self.stage_files(&staged, STAGED, &files, &grant)?;
        if set.with_links {
            // The link to a file needs an inode, too.
            for (name, _) in &contents {
                self.create_staged_file(&staged, STAGED, &format!("{name}-link"), &grant, None)?;
            }
        }
        Ok(())
    }

    /// Writes as much as an output does into the test file, and empties it again. For a directory in which files are
    /// written in place.
    pub(crate) fn test_writing_in_place(&self) -> Result<(), DirectoryError> {
        let mut file = self.open_write_test("write the test file")?;
        let written = overwrite(&mut file, &vec![0; FILES * FILE_SIZE]);
        let emptied = file.set_len(0);
        written.and(emptied).map_err(|error| self.io_error("write the test file", WRITE_TEST, error))
    }
}
