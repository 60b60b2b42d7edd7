//! Opens a folder, and makes what is missing of its path, without ever leaving the path through a link that is not to
//! be followed. One I/O edge; uses nothing of the agent.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::config::SymlinkMode;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Opens `path`; what is missing of it is made with mode 0700.
pub(super) fn open_or_make(path: &Path, symlinks: SymlinkMode) -> Result<OwnedFd, Errno> {
    match open(path, symlinks) {
        Err(Errno::NOENT) => make(path, symlinks),
        opened => opened,
    }
}

/// Starts at the deepest folder that is there, and goes down from it by names: a path that is made by its text would
/// follow links which the modes refuse.
fn make(path: &Path, symlinks: SymlinkMode) -> Result<OwnedFd, Errno> {
    let mut missing = Vec::new();
    let mut there = path;
    let mut folder = loop {
        let (Some(parent), Some(name)) = (there.parent(), there.file_name()) else {
            return Err(Errno::NOENT);
        };
        missing.push(name);
        there = parent;
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        match open(parent, symlinks) {
            Err(Errno::NOENT) => {}
            opened => break opened?,
        }
    };
    for name in missing.into_iter().rev() {
        match rustix::fs::mkdirat(&folder, name, Mode::RWXU) {
            Ok(()) => rustix::fs::fsync(&folder)?,
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
        folder = rustix::fs::openat(&folder, name, FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
    }
    Ok(folder)
}

#[cfg(target_os = "linux")]
fn open(path: &Path, symlinks: SymlinkMode) -> Result<OwnedFd, Errno> {
    use rustix::fs::{CWD, ResolveFlags, openat2};
    let plain = || rustix::fs::open(path, FOLDER, Mode::empty());
    if symlinks == SymlinkMode::Insecure {
        return plain();
    }
    match openat2(CWD, path, FOLDER, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
        Err(Errno::NOSYS) if symlinks == SymlinkMode::TrySecure => {
            tracing::warn!(
                folder = %path.display(),
                "this kernel cannot refuse symbolic links in a path (openat2, Linux 5.6), so they are followed"
            );
            plain()
        }
        opened => opened,
    }
}

#[cfg(not(target_os = "linux"))]
fn open(path: &Path, symlinks: SymlinkMode) -> Result<OwnedFd, Errno> {
    match symlinks {
        SymlinkMode::Secure => Err(Errno::NOSYS),
        SymlinkMode::TrySecure | SymlinkMode::Insecure => rustix::fs::open(path, FOLDER, Mode::empty()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nothing_is_made_behind_a_link_that_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let [elsewhere, link] = ["elsewhere", "link"].map(|name| root.path().join(name));
        std::fs::create_dir(&elsewhere).unwrap();
        symlink(&elsewhere, &link).unwrap();
        for mode in [SymlinkMode::Secure, SymlinkMode::TrySecure] {
            assert_eq!(open_or_make(&link.join("a/b"), mode).unwrap_err(), Errno::LOOP);
        }
        assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
        open_or_make(&link.join("a/b"), SymlinkMode::Insecure).unwrap();
        assert!(elsewhere.join("a/b").is_dir());
    }

    #[test]
    fn a_link_to_nothing_makes_nothing() {
        let root = tempfile::tempdir().unwrap();
        symlink(root.path().join("gone"), root.path().join("link")).unwrap();
        open_or_make(&root.path().join("link/a"), SymlinkMode::Insecure).unwrap_err();
        assert!(!root.path().join("gone").exists());
    }
}
