//! A copy of the main file, as one complete file without free space. Depends on rusqlite.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rusqlite::{Connection, params};

use super::connection::{create, with_suffix};
use crate::store::backend::StoreError;

/// Appended to the name of a backup while it is incomplete.
const PART_SUFFIX: &str = ".part";

/// Writes a copy of the main file, and replaces `file` with it.
pub(super) fn write(connection: &Connection, file: &Path) -> Result<(), StoreError> {
    let part = with_suffix(file, PART_SUFFIX);
    let failed = |error| StoreError::Backup { path: part.clone(), error };
    // An earlier process may have been killed before it finished.
    match fs::remove_file(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    // SQLite would give the copy other permissions than the main file. It accepts an empty file.
    create(&part).map_err(failed)?;
    let name = part.to_str().ok_or_else(|| failed(io::ErrorKind::InvalidFilename.into()))?;
    let written = connection.execute("VACUUM INTO ?1", params![name]);
    let replaced = written.map_err(StoreError::from).and_then(|_| replace(&part, file).map_err(failed));
    if replaced.is_err() {
        // The first error says more.
        let _ = fs::remove_file(&part);
    }
    replaced
}

fn replace(part: &Path, file: &Path) -> io::Result<()> {
    File::open(part)?.sync_all()?;
    fs::rename(part, file)?;
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}
