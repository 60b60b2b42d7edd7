//! Opens a directory and creates missing components of its path, without following symbolic links that `symlinks`
//! refuses.
//!
//! Depends on nothing else of the agent.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::config::SymlinkMode;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Opens `path`. Creates missing components with mode 0700.
pub(super) fn open_or_create(path: &Path, symlinks: SymlinkMode) -> Result<OwnedFd, Errno> {
    match open(path, symlinks) {
        Err(Errno::NOENT) => create(path, symlinks),
        opened => opened,
    }
}

/// Creates the components below the deepest existing directory, each relative to its parent's descriptor: creating them
/// by path would follow links that `symlinks` refuses.
fn create(path: &Path, symlinks: SymlinkMode) -> Result<OwnedFd, Errno> {
    let mut missing = Vec::new();
    let mut remaining = path;
    let mut directory = loop {
        let (Some(parent), Some(name)) = (remaining.parent(), remaining.file_name()) else {
            return Err(Errno::NOENT);
        };
        missing.push(name);
        remaining = parent;
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        match open(parent, symlinks) {
            Err(Errno::NOENT) => {}
            opened => break opened?,
        }
    };
    for name in missing.into_iter().rev() {
        match rustix::fs::mkdirat(&directory, name, Mode::RWXU) {
            Ok(()) => rustix::fs::fsync(&directory)?,
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
        directory = rustix::fs::openat(&directory, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
    }
    Ok(directory)
}

#[cfg(target_os = "linux")]
fn open(path: &Path, symlinks: SymlinkMode) -> Result<OwnedFd, Errno> {
    use rustix::fs::{CWD, ResolveFlags, openat2};
    let follow_links = || rustix::fs::open(path, DIRECTORY, Mode::empty());
    if symlinks == SymlinkMode::Insecure {
        return follow_links();
    }
    match openat2(CWD, path, DIRECTORY, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
        Err(Errno::NOSYS) if symlinks == SymlinkMode::TrySecure => {
            tracing::warn!(
                directory = %path.display(),
                "following symbolic links in the path, because this kernel cannot refuse them (needs Linux 5.6)"
            );
            follow_links()
        }
        opened => opened,
    }
}

#[cfg(not(target_os = "linux"))]
fn open(path: &Path, symlinks: SymlinkMode) -> Result<OwnedFd, Errno> {
    match symlinks {
        SymlinkMode::Secure => Err(Errno::NOSYS),
        SymlinkMode::TrySecure | SymlinkMode::Insecure => rustix::fs::open(path, DIRECTORY, Mode::empty()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nothing_is_created_behind_a_link_that_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let [elsewhere, link] = ["elsewhere", "link"].map(|name| root.path().join(name));
        std::fs::create_dir(&elsewhere).unwrap();
        symlink(&elsewhere, &link).unwrap();
        for mode in [SymlinkMode::Secure, SymlinkMode::TrySecure] {
            assert_eq!(open_or_create(&link.join("a/b"), mode).unwrap_err(), Errno::LOOP);
        }
        assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
        open_or_create(&link.join("a/b"), SymlinkMode::Insecure).unwrap();
        assert!(elsewhere.join("a/b").is_dir());
    }

    #[test]
    fn nothing_is_created_behind_a_dangling_link() {
        let root = tempfile::tempdir().unwrap();
        symlink(root.path().join("missing"), root.path().join("link")).unwrap();
        open_or_create(&root.path().join("link/a"), SymlinkMode::Insecure).unwrap_err();
        assert!(!root.path().join("missing").exists());
    }
}
