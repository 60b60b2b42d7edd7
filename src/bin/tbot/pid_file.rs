//! `--pid-file`: a file that holds the process's id while it runs. Touches that file only.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The file, written; dropping this removes it.
pub(crate) struct PidFile {
    path: PathBuf,
    text: String,
}

/// The file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the pid file {}: {source}; nothing was joined: name another with --pid-file, or make this one writable", path.display())]
pub(crate) struct NotWritten {
    path: PathBuf,
    source: io::Error,
}

impl PidFile {
    /// Writes the id, a decimal number and a line feed, over what the file held before.
    pub(crate) fn write(path: &Path, process_id: u32) -> Result<Self, NotWritten> {
        let text = format!("{process_id}\n");
        fs::write(path, &text).map_err(|source| NotWritten { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), text })
    }
}

impl Drop for PidFile {
    /// Where another process has written its own id by now, the file is that one's.
    fn drop(&mut self) {
        let ours = || Ok(fs::read_to_string(&self.path)? == self.text);
        let removed = ours().and_then(|ours| if ours { fs::remove_file(&self.path) } else { Ok(()) });
        if let Err(error) = removed {
            tracing::warn!("cannot remove the pid file {}: {error}", self.path.display());
        }
    }
}
