//! Tests whether a directory has room for the files of an output, before credentials are requested that cannot be requested
//! twice: a full disk, a quota or a limit on file sizes shows only when files are written.

use rustix::fs::OFlags;

use crate::agent::destination::atomic_write::STAGED;
use crate::agent::destination::directory::{DirectoryError, DirectoryHandle, WRITE_TEST};
use crate::agent::destination::permissions::ReaderGrant;
use crate::agent::destination::staging::overwrite;
use crate::agent::platform::regular_file;

/// At least as many files as an output usually writes: those of an identity with two leaf clusters.
const FILES: usize = 16;
/// The size of each file, in bytes. Keys and certificates have a few KiB, lists of CAs of a large cluster more.
const FILE_SIZE: usize = 8 << 10;

impl DirectoryHandle {
    /// Writes files as an output does, replaces one, and keeps the others in the staging directory, where they use up
    /// space and inodes until [`recover`](Self::recover) removes them: other outputs may share the file system.
    ///
    /// If this fails, nothing is kept.
    pub(crate) fn try_writing_set(&self) -> Result<(), DirectoryError> {
        let _lock = self.lock_for_update()?;
        self.recover_locked()?;
        let tried = self.rehearse(&[], &ReaderGrant::default()).and_then(|()| self.stage_trial());
        if tried.is_err() {
            // Frees the disk. If this fails, too, the next start removes what is left.
            let _ = self.remove_tree(STAGED);
        }
        tried
    }

    fn stage_trial(&self) -> Result<(), DirectoryError> {
        let staged = self.create_staged_directory()?;
        let owners = [rustix::process::geteuid().as_raw()];
        let create = |name: &str| {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
            regular_file::open(&staged, name, flags, &owners)
                .map_err(|error| self.file_error("write", &format!("{STAGED}/{name}"), error))
        };
        for number in 0..FILES {
            let name = number.to_string();
            overwrite(&mut create(&name)?, &[0; FILE_SIZE])
                .map_err(|error| self.io_error("write", &format!("{STAGED}/{name}"), error))?;
            // The link to a file needs an inode, too.
            create(&format!("{name}-link"))?;
        }
        Ok(())
    }

    /// Writes as much as an output does into the test file, and empties it again. For a directory in which files are
    /// written in place.
    pub(crate) fn try_writing_in_place(&self) -> Result<(), DirectoryError> {
        let mut file = self.open_write_test("write the test file")?;
        let written = overwrite(&mut file, &vec![0; FILES * FILE_SIZE]);
        let emptied = file.set_len(0);
        written.and(emptied).map_err(|error| self.io_error("write the test file", WRITE_TEST, error))
    }
}
