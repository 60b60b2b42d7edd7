//! Opens and reads regular files where other users may have put something else: a link, a pipe, a device, a file with a
//! second name, or a file of their own.
//!
//! Nothing here changes a file before it is checked, or reads without a limit. Only [`open_input`] opens a pipe, which the user has
//! named as a file below `/dev`.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::path::Arg;

/// Something that is in the way of the agent's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Obstacle {
    /// A symbolic link that leads elsewhere.
    #[error("a symbolic link")]
    SymbolicLink,
    /// A directory.
    #[error("a directory")]
    Directory,
    /// A directory of another user.
    #[error("another user's directory")]
    ForeignDirectory,
    /// A regular file.
    #[error("a file")]
    File,
    /// A regular file whose owner is not one of the expected users.
    #[error("another user's file")]
    ForeignFile,
    /// A regular file that can also be reached by another path.
    #[error("a file with more than one hard link")]
    HardLinkedFile,
    /// A pipe, a socket or a device.
    #[error("a special file (a pipe, socket or device)")]
    SpecialFile,
}

impl Obstacle {
    pub(crate) fn of_type(file_type: FileType) -> Self {
        match file_type {
            FileType::Symlink => Self::SymbolicLink,
            FileType::Directory => Self::Directory,
            FileType::RegularFile => Self::File,
            _ => Self::SpecialFile,
        }
    }
}

/// A file cannot be opened or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegularFileError {
    /// A system call failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Something else is in the place of the file.
    #[error("it is {0}")]
    Obstructed(Obstacle),
    /// The file is larger than the limit, in bytes.
    #[error("it is larger than {0} bytes")]
    TooLarge(u64),
}

impl From<Errno> for RegularFileError {
    fn from(error: Errno) -> Self {
        Self::Io(error.into())
    }
}

impl From<RegularFileError> for io::Error {
    fn from(error: RegularFileError) -> Self {
        let kind = match error {
            RegularFileError::Io(error) => return error,
            RegularFileError::Obstructed(_) => io::ErrorKind::InvalidInput,
            RegularFileError::TooLarge(_) => io::ErrorKind::FileTooLarge,
        };
        Self::new(kind, error)
    }
}

/// Opens the regular file `name` in `directory` without following a link. With [`OFlags::CREATE`], a missing file is
/// created with mode 0600.
///
/// `flags` must not contain [`OFlags::TRUNC`], which would take effect before the checks: call [`File::set_len`].
///
/// # Errors
///
/// Returns [`RegularFileError::Obstructed`] if there is anything but a regular file of one of the `owners`, or if the
/// file is to be written and has another name: writing to it could change something outside the directory, or disclose
/// a key.
pub fn open(
    directory: impl AsFd,
    name: impl Arg,
    flags: OFlags,
    owners: &[u32],
) -> Result<File, RegularFileError> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(directory, name, flags, Mode::RUSR | Mode::WUSR);
    let file = opened.map_err(|error| match error {
        Errno::LOOP => RegularFileError::Obstructed(Obstacle::SymbolicLink),
        Errno::ISDIR => RegularFileError::Obstructed(Obstacle::Directory),
        // A socket, or a pipe that nobody reads.
        Errno::NXIO => RegularFileError::Obstructed(Obstacle::SpecialFile),
        error => error.into(),
    })?;
    let stat = rustix::fs::fstat(&file)?;
    let file_type = FileType::from_raw_mode(stat.st_mode);
    let obstacle = if file_type != FileType::RegularFile {
        Obstacle::of_type(file_type)
    } else if flags.intersects(OFlags::WRONLY | OFlags::RDWR) && stat.st_nlink != 1 {
        Obstacle::HardLinkedFile
    } else if !owners.contains(&stat.st_uid) {
        Obstacle::ForeignFile
    } else {
        return Ok(file.into());
    };
    Err(RegularFileError::Obstructed(obstacle))
}

/// Opens a file that the user has named, and that may be a link, for reading.
///
/// # Errors
///
/// Returns an error unless the path leads to a regular file.
pub(crate) fn open_named(path: &Path) -> Result<File, RegularFileError> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NXIO) => return Err(RegularFileError::Obstructed(Obstacle::SpecialFile)),
        Err(error) => return Err(error.into()),
    };
    match FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) {
        FileType::RegularFile => Ok(file.into()),
        other => Err(RegularFileError::Obstructed(Obstacle::of_type(other))),
    }
}

/// Opens a file that the user has named, and that is read once. It may also be `/dev/stdin`, or a file such as the `/dev/fd/63` or
/// `/proc/self/fd/12` of a shell: these may be pipes, which are open already. A pipe with another name could block forever.
///
/// # Errors
///
/// Returns an error unless the path leads to a regular file, or is one of these.
pub fn open_input(path: &Path) -> Result<File, RegularFileError> {
    let is_number = |name: &OsStr| name.as_encoded_bytes().iter().all(u8::is_ascii_digit);
    let is_descriptor = ["/dev/fd", "/proc/self/fd"]
        .map(Path::new)
        .into_iter()
        .any(|directory| path.parent() == Some(directory) && path.file_name().is_some_and(is_number));
    if path == Path::new("/dev/stdin") || is_descriptor { Ok(File::open(path)?) } else { open_named(path) }
}

/// Reads a file that the user has named, and that may be a link: a token, a certificate, a configuration.
///
/// # Errors
///
/// Returns an error unless the path leads to a regular file of at most `limit` bytes.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, RegularFileError> {
    read_all(&open_named(path)?, limit)
}

/// Reads a file that the user has named, as a string.
///
/// # Errors
///
/// Returns an error unless the path leads to a regular file of at most `limit` bytes that is UTF-8.
pub fn read_to_string(path: &Path, limit: u64) -> io::Result<String> {
    read_all_to_string(&open_named(path)?, limit)
}

/// Reads an open file from its current position, as a string.
///
/// # Errors
///
/// Returns an error if there are more than `limit` bytes, or if they are not UTF-8.
pub(crate) fn read_all_to_string(file: &File, limit: u64) -> io::Result<String> {
    String::from_utf8(read_all(file, limit)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not valid UTF-8"))
}

/// Reads an open file from its current position.
///
/// # Errors
///
/// Returns [`RegularFileError::TooLarge`] if there are more than `limit` bytes.
pub fn read_all(file: &File, limit: u64) -> Result<Vec<u8>, RegularFileError> {
    // With room for one byte more than the file has, one call reads a file of up to 8 KiB, and another one finds its end.
    let size = file.metadata()?.len().min(limit);
    let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or(0).saturating_add(1));
    file.take(limit.saturating_add(1)).read_to_end(&mut content)?;
    if u64::try_from(content.len()).is_ok_and(|length| length <= limit) {
        Ok(content)
    } else {
        Err(RegularFileError::TooLarge(limit))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use rustix::fs::CWD;

    use super::*;

    const WRITE: OFlags = OFlags::WRONLY.union(OFlags::CREATE);

    fn obstacle<T: std::fmt::Debug>(result: Result<T, RegularFileError>) -> Obstacle {
        match result.unwrap_err() {
            RegularFileError::Obstructed(obstacle) => obstacle,
            error => panic!("{error:?}"),
        }
    }

    #[test]
    fn only_a_regular_file_of_an_expected_owner_is_opened() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        let agent = rustix::process::geteuid().as_raw();
        fs::write(path("victim"), "whole").unwrap();
        symlink(path("victim"), path("link")).unwrap();
        fs::hard_link(path("victim"), path("second-name")).unwrap();
        fs::create_dir(path("directory")).unwrap();
        rustix::fs::mkfifoat(CWD, path("pipe"), Mode::RWXU).unwrap();
        let _socket = UnixListener::bind(path("socket")).unwrap();
        for (name, expected) in [
            ("link", Obstacle::SymbolicLink),
            ("second-name", Obstacle::HardLinkedFile),
            ("directory", Obstacle::Directory),
            ("pipe", Obstacle::SpecialFile),
            ("socket", Obstacle::SpecialFile),
        ] {
            assert_eq!(obstacle(open(CWD, path(name), WRITE, &[agent])), expected, "{name}");
            if expected != Obstacle::HardLinkedFile {
                assert_eq!(obstacle(open(CWD, path(name), OFlags::RDONLY, &[agent])), expected, "{name}");
            }
        }
        let foreign = open(CWD, path("new"), WRITE, &[agent.wrapping_add(1)]);
        assert_eq!(obstacle(foreign), Obstacle::ForeignFile);
        open(CWD, path("new"), WRITE, &[agent]).unwrap();
        assert_eq!(fs::read_to_string(path("victim")).unwrap(), "whole");
    }

    #[test]
    fn a_named_file_may_be_a_link_but_neither_a_pipe_nor_endless() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::write(path("token"), "abc").unwrap();
        symlink(path("token"), path("link")).unwrap();
        rustix::fs::mkfifoat(CWD, path("pipe"), Mode::RWXU).unwrap();
        assert_eq!(read(&path("link"), 3).unwrap(), b"abc");
        assert!(matches!(read(&path("token"), 2), Err(RegularFileError::TooLarge(2))));
        assert_eq!(obstacle(read(&path("pipe"), 3)), Obstacle::SpecialFile);
        assert_eq!(obstacle(read(Path::new("/dev/zero"), 3)), Obstacle::SpecialFile);
        assert_eq!(obstacle(read(root.path(), 3)), Obstacle::Directory);
    }
}
