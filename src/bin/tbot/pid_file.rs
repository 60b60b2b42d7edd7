//! `--pid-file`: a file that contains the process ID while the program runs.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, OFlags};
use rustix::process::geteuid;
use tbot::agent::Hint;
use tbot::agent::internal::files;

/// The largest PID file, in bytes, that is read before it is removed. The one that was written is smaller.
const LIMIT: u64 = 64;

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

impl PidFileError {
    /// Returns advice for the operator.
    pub(crate) fn hint(&self) -> Hint {
        match self.source.kind() {
            io::ErrorKind::NotFound => {
                "create its directory (in a unit of systemd, with RuntimeDirectory=), or choose another file with --pid-file"
            }
            // Another kind of file has this name, such as a link.
            io::ErrorKind::InvalidInput => "remove it, or choose another file with --pid-file",
            io::ErrorKind::PermissionDenied => {
                "choose a file in a directory that the agent's user may write to: in a unit of systemd, \
                 /run/tbot/tbot.pid with RuntimeDirectory=tbot"
            }
            _ => "choose another file with --pid-file",
        }
        .into()
    }
}

impl PidFile {
    /// Writes the process ID, in decimal and followed by a line feed, replacing what the file contained. Other users may
    /// read the file, and not write to it.
    ///
    /// # Errors
    ///
    /// Returns an error, and changes nothing, if the path leads to anything but a regular file of this user or root: a
    /// link, a device, or a file with a second name.
    pub(crate) fn write(path: &Path, process_id: u32) -> Result<Self, PidFileError> {
        let contents = format!("{process_id}\n");
        let write = || {
            let mut file = open(path, OFlags::WRONLY | OFlags::CREATE)?;
            file.write_all(contents.as_bytes())?;
            // Truncated only after writing, so that the file is never empty.
            file.set_len(contents.len().try_into().unwrap_or(u64::MAX))?;
            if file.metadata()?.uid() == geteuid().as_raw() {
                file.set_permissions(Permissions::from_mode(0o644))?;
            }
            Ok(())
        };
        write().map_err(|source| PidFileError { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), contents })
    }
}

fn open(path: &Path, flags: OFlags) -> io::Result<fs::File> {
    Ok(files::open(CWD, path, flags, &[geteuid().as_raw(), 0])?)
}

impl Drop for PidFile {
    /// Keeps the file if another process has replaced the ID with its own.
    fn drop(&mut self) {
        let is_ours = || {
            let file = open(&self.path, OFlags::RDONLY)?;
            Ok(files::read_all(&file, LIMIT)? == self.contents.as_bytes())
        };
        let removed = is_ours().and_then(|ours| if ours { fs::remove_file(&self.path) } else { Ok(()) });
        if let Err(error) = removed {
            tracing::warn!("cannot remove the PID file {}: {error}", self.path.display());
        }
    }
}
