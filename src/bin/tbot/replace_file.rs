//! Creates or replaces a whole file. If writing fails, no part of the new file remains, and a file that was to be replaced is
//! unchanged.

use std::ffi::OsString;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Creates a file with this content and mode.
///
/// # Errors
///
/// Returns an error if there is a file of this name, or if the new one cannot be written. Then no part of it remains.
pub(crate) fn create_file(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    // Nobody else may open the file before it has its final mode.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = file
        .write_all(content)
        .and_then(|()| file.set_permissions(Permissions::from_mode(mode)))
        .and_then(|()| file.sync_all());
    written.inspect_err(|_| {
        // The error of the write is returned, not that of the removal.
        let _ = fs::remove_file(path);
    })
}

/// Replaces a file, or creates it. Another program sees either the old content or the new one: the new content is written to a
/// temporary file in the same directory, whose name systemd ignores and only this program uses.
///
/// # Errors
///
/// Returns an error if the file cannot be written. Then the old one is unchanged.
pub(crate) fn replace_file(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut new = OsString::from(path);
    new.push(".tbot-new");
    let new = PathBuf::from(new);
    // A file that an interrupted run has left.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    create_file(&new, content, mode)?;
    fs::rename(&new, path).inspect_err(|_| {
        let _ = fs::remove_file(&new);
    })
}
