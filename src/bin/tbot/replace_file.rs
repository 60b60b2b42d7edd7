//! Creates or replaces a whole file. If writing fails, no part of the new file remains, and a file that was to be replaced is
//! unchanged.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

/// Creates a file with this content and mode.
///
/// # Errors
///
/// Returns an error if there is a file of this name, or if the new one cannot be written. Then no part of it remains.
pub(crate) fn create_file(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    create(path, content, |file| file.set_permissions(Permissions::from_mode(mode)))
}

/// Replaces a file, or creates it. Another program sees either the old content or the new one: the new content is written to a
/// temporary file in the same directory, whose name systemd ignores and only this program uses.
///
/// # Errors
///
/// Returns an error if the file cannot be written. Then the old one is unchanged.
pub(crate) fn replace_file(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    replace(path, content, |file| file.set_permissions(Permissions::from_mode(mode)))
}

/// Writes a configuration to the file that the user names. A new file is readable only by its owner. An existing one is replaced by
/// a file with the same owner and mode, a symbolic link is followed, and what is not a file, such as a pipe, is written to.
///
/// # Errors
///
/// Returns an error if the file cannot be written.
pub(crate) fn write_named_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let is_file = match fs::metadata(path) {
        Ok(metadata) => Some(metadata.is_file()),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let directory = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    if is_file == Some(false) || names_a_descriptor(directory) {
        return OpenOptions::new().append(true).open(path)?.write_all(content);
    }
    match fs::read_link(path) {
        Ok(target) => write_named_file(&directory.join(target), content),
        Err(_) if is_file.is_none() => replace_file(path, content, 0o600),
        Err(_) => replace_with_same_access(path, content),
    }
}

/// Returns whether the files of a directory are those that this process has open, such as `/dev/stdout` and `/dev/fd/63`. Replacing
/// the file behind one would write neither to the open file nor after what it already contains.
fn names_a_descriptor(directory: &Path) -> bool {
    directory == Path::new("/dev")
        || fs::canonicalize(directory).is_ok_and(|directory| directory.starts_with("/proc"))
}

/// Replaces a file by one that the same users can read. If that is not permitted, overwrites the file.
fn replace_with_same_access(path: &Path, content: &[u8]) -> io::Result<()> {
    // Fails unless the user may change the file; the directory alone would permit replacing it.
    let mut old = OpenOptions::new().write(true).open(path)?;
    let metadata = old.metadata()?;
    if metadata.nlink() == 1 && !has_acl(&old) {
        let replaced = replace(path, content, |new| {
            let (current, mode) = (new.metadata()?, Permissions::from_mode(metadata.mode() & 0o7777));
            if (current.uid(), current.gid()) != (metadata.uid(), metadata.gid()) {
                fchown(new, Some(metadata.uid()), Some(metadata.gid()))?;
            }
            new.set_permissions(mode)
        });
        match replaced {
            // The directory is not writable, the owner is another user, or the file is a mount point.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::ResourceBusy
                ) => {}
            result => return result,
        }
    }
    old.write_all(content)?;
    old.set_len(content.len().try_into().unwrap_or(u64::MAX))?;
    old.sync_all()
}

/// Returns whether a file has an ACL, with which more users may have access than its mode says.
#[cfg(target_os = "linux")]
pub(crate) fn has_acl(file: &File) -> bool {
    let mut nothing: [u8; 0] = [];
    rustix::fs::fgetxattr(file, "system.posix_acl_access", &mut nothing[..]).is_ok_and(|length| length > 0)
}

#[cfg(not(target_os = "linux"))]
pub(crate) const fn has_acl(_: &File) -> bool {
    false
}

fn replace(path: &Path, content: &[u8], set_access: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
    let mut new = OsString::from(path);
    new.push(".tbot-new");
    let new = PathBuf::from(new);
    // A file that an interrupted run has left.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    create(&new, content, set_access)?;
    fs::rename(&new, path).inspect_err(|_| {
        let _ = fs::remove_file(&new);
    })
}

fn create(path: &Path, content: &[u8], set_access: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
    // Nobody else may open the file before it has its final mode.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = file.write_all(content).and_then(|()| set_access(&file)).and_then(|()| file.sync_all());
    written.inspect_err(|_| {
        // The error of the write is returned, not that of the removal.
        let _ = fs::remove_file(path);
    })
}
