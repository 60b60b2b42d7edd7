//! `--pid-file`: a file that contains the process ID while the program runs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A written PID file. Dropping it removes the file.
pub(crate) struct PidFile {
    path: PathBuf,
    contents: String,
}

/// The PID file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the PID file {}", path.display())]
pub(crate) struct PidFileError {
    path: PathBuf,
    source: io::Error,
}

impl PidFile {
    /// Writes the process ID, in decimal and followed by a line feed, replacing what the file contained.
    pub(crate) fn write(path: &Path, process_id: u32) -> Result<Self, PidFileError> {
        let contents = format!("{process_id}\n");
        fs::write(path, &contents).map_err(|source| PidFileError { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), contents })
    }
}

impl Drop for PidFile {
    /// Keeps the file if another process has replaced the ID with its own.
    fn drop(&mut self) {
        let is_ours = || Ok(fs::read_to_string(&self.path)? == self.contents);
        let removed = is_ours().and_then(|ours| if ours { fs::remove_file(&self.path) } else { Ok(()) });
        if let Err(error) = removed {
            tracing::warn!("cannot remove the PID file {}: {error}", self.path.display());
        }
    }
}
