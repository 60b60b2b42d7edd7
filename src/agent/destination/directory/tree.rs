//! What lies in an open folder, one level of sub-folders deep. Names only: no path is resolved, no link is followed.
//! One I/O edge; uses nothing of the agent.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

/// A name and what it is.
pub(in crate::agent) type Entry = (String, FileType);

/// `cockroach/node.key` is `node.key` in `cockroach`.
pub(in crate::agent) fn split(name: &str) -> (Option<&str>, &str) {
    name.split_once('/').map_or((None, name), |(folder, file)| (Some(folder), file))
}

/// What is seen of a file in the folder itself: its own name, or its sub-folder's.
pub(in crate::agent) fn top(name: &str) -> &str {
    split(name).0.unwrap_or(name)
}

/// Opens a folder in a folder.
pub(in crate::agent) fn open(folder: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(folder, name, flags, Mode::empty())
}

/// Opens a folder in a folder, and makes it with mode 0700 where it is not there.
pub(in crate::agent) fn open_or_make(folder: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    match rustix::fs::mkdirat(folder, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => open(folder, name),
        Err(error) => Err(error),
    }
}

/// What a name is, where it is there.
pub(in crate::agent) fn kind(folder: &OwnedFd, name: &str) -> Result<Option<FileType>, Errno> {
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Everything in a folder. Names that are not UTF-8 are nobody's here and left out.
pub(in crate::agent) fn entries(folder: &OwnedFd) -> Result<Vec<Entry>, Errno> {
    let mut entries = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        match entry.file_name().to_str() {
            Ok("." | "..") | Err(_) => {}
            Ok(name) => {
                if let Some(kind) = kind(folder, name)? {
                    entries.push((name.to_owned(), kind));
                }
            }
        }
    }
    Ok(entries)
}

/// The regular files in a folder and its sub-folders, in the form that [`split`] reads.
pub(in crate::agent) fn files(folder: &OwnedFd) -> Result<Vec<String>, Errno> {
    let mut files = Vec::new();
    for (name, kind) in entries(folder)? {
        match kind {
            FileType::RegularFile => files.push(name),
            FileType::Directory => {
                let inner = entries(&open(folder, &name)?)?.into_iter();
                let inner = inner.filter(|(_, kind)| *kind == FileType::RegularFile);
                files.extend(inner.map(|(file, _)| format!("{name}/{file}")));
            }
            _ => {}
        }
    }
    Ok(files)
}

/// Runs `work` with the folder that holds a file and the file's name in it; makes the sub-folder where `make` says so.
pub(in crate::agent) fn at<T>(
    folder: &OwnedFd,
    name: &str,
    make: bool,
    work: impl FnOnce(&OwnedFd, &str) -> Result<T, Errno>,
) -> Result<T, Errno> {
    match split(name) {
        (None, file) => work(folder, file),
        (Some(sub), file) if make => work(&open_or_make(folder, sub)?, file),
        (Some(sub), file) => work(&open(folder, sub)?, file),
    }
}

/// A second name for a file, in another folder: the same content, owner, mode and access list.
pub(in crate::agent) fn link(from: &OwnedFd, name: &str, to: &OwnedFd, new_name: &str) -> Result<(), Errno> {
    at(from, name, false, |from, name| {
        at(to, new_name, true, |to, new_name| rustix::fs::linkat(from, name, to, new_name, AtFlags::empty()))
    })
}

/// Makes the names in the sub-folders durable, and then those in the folder.
pub(in crate::agent) fn sync(folder: &OwnedFd) -> Result<(), Errno> {
    for (name, kind) in entries(folder)? {
        if kind == FileType::Directory {
            rustix::fs::fsync(open(folder, &name)?)?;
        }
    }
    rustix::fs::fsync(folder)
}

/// Removes a name; for a folder, all that is in it. What is not there is no error.
pub(in crate::agent) fn remove(folder: &OwnedFd, name: &str) -> Result<(), Errno> {
    let flags = match kind(folder, name)? {
        None => return Ok(()),
        Some(FileType::Directory) => {
            let inner = open(folder, name)?;
            for (name, _) in entries(&inner)? {
                remove(&inner, &name)?;
            }
            AtFlags::REMOVEDIR
        }
        Some(_) => AtFlags::empty(),
    };
    rustix::fs::unlinkat(folder, name, flags)
}
