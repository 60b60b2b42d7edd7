//! Reads, links, syncs and removes the entries of an open directory, at most one subdirectory deep.
//!
//! Everything is relative to a descriptor, and links are never followed. Depends on `regular_file`.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::path::Arg;

use crate::agent::platform::regular_file::{self, RegularFileError};

/// How deep directories may be nested to be removed: deeper than the agent ever nests them, and not so deep that a
/// planted tree takes up all descriptors.
const MAX_DEPTH: u32 = 8;

/// Splits `cockroach/node.key` into the subdirectory `cockroach`, if there is one, and the file name `node.key`.
pub(in crate::agent) fn split(name: &str) -> (Option<&str>, &str) {
    name.split_once('/').map_or((None, name), |(subdirectory, file)| (Some(subdirectory), file))
}

/// Returns the first component of a file's name: its subdirectory if it has one, else the name itself.
pub(in crate::agent) fn top_level(name: &str) -> &str {
    split(name).0.unwrap_or(name)
}

/// Opens a subdirectory.
pub(in crate::agent) fn open(directory: &OwnedFd, name: impl Arg) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(directory, name, flags, Mode::empty())
}

/// Opens a subdirectory, and creates it with mode 0700 if it is missing.
pub(in crate::agent) fn open_or_create(directory: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    match rustix::fs::mkdirat(directory, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => open(directory, name),
        Err(error) => Err(error),
    }
}

/// Returns the type of an entry, or `None` if there is no such entry.
pub(in crate::agent) fn file_type(directory: impl AsFd, name: impl Arg) -> Result<Option<FileType>, Errno> {
    match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the name and type of every entry.
pub(in crate::agent) fn list(directory: impl AsFd) -> Result<Vec<(CString, FileType)>, Errno> {
    let mut found = Vec::new();
    for entry in Dir::read_from(&directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if [c".", c".."].contains(&name) {
            continue;
        }
        // Some file systems do not tell the type in a list.
        let file_type = match entry.file_type() {
            FileType::Unknown => file_type(&directory, name)?,
            known => Some(known),
        };
        found.extend(file_type.map(|file_type| (name.to_owned(), file_type)));
    }
    Ok(found)
}

/// Returns the name and type of every entry. Skips names that are not UTF-8, because the agent never writes such names.
pub(in crate::agent) fn entries(directory: &OwnedFd) -> Result<Vec<(String, FileType)>, Errno> {
    let list = list(directory)?.into_iter();
    Ok(list.filter_map(|(name, file_type)| Some((name.into_string().ok()?, file_type))).collect())
}

/// Returns the regular files in a directory and its subdirectories, with names as [`split`] expects them.
pub(in crate::agent) fn files(directory: &OwnedFd) -> Result<Vec<String>, Errno> {
    let mut files = Vec::new();
    for (name, file_type) in entries(directory)? {
        match file_type {
            FileType::RegularFile => files.push(name),
            FileType::Directory => {
                let inner = entries(&open(directory, &name)?)?.into_iter();
                let inner = inner.filter(|(_, file_type)| *file_type == FileType::RegularFile);
                files.extend(inner.map(|(file, _)| format!("{name}/{file}")));
            }
            _ => {}
        }
    }
    Ok(files)
}

/// Calls `work` with the directory that contains the file `name`, and with the file's name in that directory.
///
/// # Errors
///
/// Returns [`Errno::NOENT`] if a subdirectory is missing, and [`Errno::INVAL`] if the file is more than one subdirectory deep: a link
/// in the place of the inner one would be followed.
pub(in crate::agent) fn in_parent<T, E: From<Errno>>(
    directory: &OwnedFd,
    name: &str,
    work: impl FnOnce(&OwnedFd, &str) -> Result<T, E>,
) -> Result<T, E> {
    in_parent_with(directory, name, |directory, name| open(directory, name), work)
}

/// Like [`in_parent`], but creates a missing subdirectory.
pub(in crate::agent) fn in_created_parent<T, E: From<Errno>>(
    directory: &OwnedFd,
    name: &str,
    work: impl FnOnce(&OwnedFd, &str) -> Result<T, E>,
) -> Result<T, E> {
    in_parent_with(directory, name, open_or_create, work)
}

/// Does the work of [`in_parent`], with a function that opens a subdirectory.
fn in_parent_with<T, E: From<Errno>>(
    directory: &OwnedFd,
    name: &str,
    open: impl FnOnce(&OwnedFd, &str) -> Result<OwnedFd, Errno>,
    work: impl FnOnce(&OwnedFd, &str) -> Result<T, E>,
) -> Result<T, E> {
    match split(name) {
        (_, file) if file.contains('/') => Err(Errno::INVAL.into()),
        (None, file) => work(directory, file),
        (Some(subdirectory), file) => work(&open(directory, subdirectory)?, file),
    }
}

/// Opens a regular file, as [`regular_file::open`] describes. A missing subdirectory is created if the file is.
pub(in crate::agent) fn open_file(
    directory: &OwnedFd,
    name: &str,
    flags: OFlags,
    owners: &[u32],
) -> Result<File, RegularFileError> {
    let open = |directory: &OwnedFd, file: &str| regular_file::open(directory, file, flags, owners);
    if flags.contains(OFlags::CREATE) {
        in_created_parent(directory, name, open)
    } else {
        in_parent(directory, name, open)
    }
}

/// Creates a hard link in `to` to a file in `from`. Both names share content, owner, mode and ACL.
pub(in crate::agent) fn hard_link(
    from: &OwnedFd,
    name: &str,
    to: &OwnedFd,
    new_name: &str,
) -> Result<(), Errno> {
    in_parent(from, name, |from, name| {
        in_created_parent(to, new_name, |to, new_name| {
            rustix::fs::linkat(from, name, to, new_name, AtFlags::empty())
        })
    })
}

/// Fsyncs the subdirectories, then the directory.
pub(in crate::agent) fn sync(directory: &OwnedFd) -> Result<(), Errno> {
    for (name, file_type) in entries(directory)? {
        if file_type == FileType::Directory {
            rustix::fs::fsync(open(directory, &name)?)?;
        }
    }
    rustix::fs::fsync(directory)
}

/// Removes an entry, and everything in it if it is a directory. A missing entry is not an error.
///
/// # Errors
///
/// If an entry cannot be removed, removes the others and returns the first error. Returns [`Errno::NOTEMPTY`] if
/// directories are nested more than [`MAX_DEPTH`] deep.
pub(in crate::agent) fn remove(directory: &OwnedFd, name: impl Arg + Copy) -> Result<(), Errno> {
    file_type(directory, name)?
        .map_or(Ok(()), |file_type| remove_to_depth(directory, name, file_type, MAX_DEPTH))
}

fn remove_to_depth(
    directory: &OwnedFd,
    name: impl Arg + Copy,
    file_type: FileType,
    depth: u32,
) -> Result<(), Errno> {
    let mut flags = AtFlags::empty();
    if file_type == FileType::Directory {
        flags = AtFlags::REMOVEDIR;
        let depth = depth.checked_sub(1).ok_or(Errno::NOTEMPTY)?;
        let inner = match open(directory, name) {
            // Another process has removed it.
            Err(Errno::NOENT) => return Ok(()),
            opened => opened?,
        };
        let removals = list(&inner)?
            .into_iter()
            .map(|(name, file_type)| remove_to_depth(&inner, name.as_c_str(), file_type, depth));
        // Collected first, so that one failure does not end the removals.
        removals.collect::<Vec<_>>().into_iter().collect::<Result<(), Errno>>()?;
    }
    match rustix::fs::unlinkat(directory, name, flags) {
        Err(Errno::NOENT) => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_another_process_has_removed_is_not_an_error() {
        let root = tempfile::tempdir().unwrap();
        let directory = std::fs::File::open(root.path()).unwrap().into();
        for file_type in [FileType::Directory, FileType::RegularFile] {
            assert_eq!(remove_to_depth(&directory, "missing", file_type, 1), Ok(()), "{file_type:?}");
        }
    }

    #[test]
    fn a_link_at_any_depth_is_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let directory = std::fs::File::open(root.path()).unwrap().into();
        std::fs::create_dir_all(root.path().join("a/b")).unwrap();
        std::fs::create_dir(root.path().join("target")).unwrap();
        for link in ["link", "a/link"] {
            std::os::unix::fs::symlink(root.path().join("target"), root.path().join(link)).unwrap();
        }
        for (name, expected) in [
            ("file", Ok(())),
            ("a/file", Ok(())),
            ("link/file", Err(Errno::NOTDIR)),
            ("a/b/file", Err(Errno::INVAL)),
            ("a/link/file", Err(Errno::INVAL)),
        ] {
            let file_in = |directory: &OwnedFd, file: &str| file_type(directory, file).map(drop);
            assert_eq!(in_parent(&directory, name, file_in), expected, "{name}");
            assert_eq!(in_created_parent(&directory, name, file_in), expected, "{name}");
        }
    }

    #[test]
    fn a_deeply_nested_tree_is_not_removed() {
        let root = tempfile::tempdir().unwrap();
        let directory = std::fs::File::open(root.path()).unwrap().into();
        for (depth, removed) in [(MAX_DEPTH, Ok(())), (MAX_DEPTH + 1, Err(Errno::NOTEMPTY))] {
            let nested: std::path::PathBuf = (0..depth).map(|_| "a").collect();
            std::fs::create_dir_all(root.path().join(nested)).unwrap();
            assert_eq!(remove(&directory, "a"), removed, "{depth}");
        }
    }
}
