//! A copy of the main file, as one complete file without free space. Depends on rusqlite.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, params};

use super::connection::{create_new, with_suffix};
use crate::store::backend::StoreError;

/// Appended to the name of a backup while it is incomplete.
pub(super) const PART_SUFFIX: &str = ".part";
/// An incomplete backup that was not changed for this long was left by a process that was killed.
const ABANDONED_AFTER: Duration = Duration::from_secs(60 * 60);

/// Writes a copy of the main file, and replaces `file` with it.
pub(super) fn write(connection: &Connection, file: &Path) -> Result<(), StoreError> {
    let part = with_suffix(file, PART_SUFFIX);
    let failed = |error| StoreError::Backup { path: part.clone(), error };
    remove_abandoned(&part).map_err(failed)?;
    // SQLite would give the copy other permissions than the main file. It accepts an empty file.
    create_new(&part).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => StoreError::BackupRunning(part.clone()),
        _ => failed(error),
    })?;
    let name = part.to_str().ok_or_else(|| failed(io::ErrorKind::InvalidFilename.into()))?;
    let written = connection.execute("VACUUM INTO ?1", params![name]);
    let replaced = written.map_err(StoreError::from).and_then(|_| replace(&part, file).map_err(failed));
    if replaced.is_err() {
        // The first error says more.
        let _ = fs::remove_file(&part);
    }
    replaced
}

/// Removes an incomplete backup that another process has left. One that is still written stays, so that this backup fails.
fn remove_abandoned(part: &Path) -> io::Result<()> {
    let modified = match fs::symlink_metadata(part) {
        Ok(metadata) => metadata.modified()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    // A time in the future says nothing.
    let is_abandoned = modified.elapsed().is_ok_and(|unchanged| unchanged >= ABANDONED_AFTER);
    if is_abandoned { fs::remove_file(part) } else { Ok(()) }
}

fn replace(part: &Path, file: &Path) -> io::Result<()> {
    File::open(part)?.sync_all()?;
    fs::rename(part, file)?;
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}
