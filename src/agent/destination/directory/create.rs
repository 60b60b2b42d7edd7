//! Opens a directory component by component, and creates missing ones. Follows neither links that `symlinks` refuses,
//! nor a path that other users can redirect.
//!
//! Depends on nothing else of the agent.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::config::SymlinkMode;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// Opens a component of the path, for which the agent needs only the permission to search it.
#[cfg(target_os = "linux")]
const COMPONENT: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const COMPONENT: OFlags = DIRECTORY;

/// Why a directory cannot be opened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum OpenError {
    System(Errno),
    /// Every user may write to this parent, and can replace what is in it.
    WritableParent(PathBuf),
}

impl From<Errno> for OpenError {
    fn from(error: Errno) -> Self {
        Self::System(error)
    }
}

/// Opens `path`. Creates missing components with mode 0700.
pub(super) fn open_or_create(path: &Path, symlinks: SymlinkMode) -> Result<OwnedFd, OpenError> {
    if path.as_os_str().is_empty() {
        return Err(Errno::NOENT.into());
    }
    let follows_links = match symlinks {
        SymlinkMode::Insecure => true,
        // On other systems, paths such as /tmp and /var contain links.
        SymlinkMode::TrySecure => !cfg!(target_os = "linux"),
        SymlinkMode::Secure => false,
    };
    let mut walked = PathBuf::from(if path.has_root() { "/" } else { "." });
    let mut directory = rustix::fs::open(&walked, COMPONENT, Mode::empty())?;
    for component in path.components() {
        let name = match component {
            Component::Normal(name) => name,
            Component::ParentDir => OsStr::new(".."),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => continue,
        };
        if symlinks != SymlinkMode::Insecure && component != Component::ParentDir {
            refuse_writable_parent(&directory, &walked)?;
        }
        directory = match open_component(&directory, name, follows_links) {
            Err(Errno::NOENT) => create_component(&directory, name)?,
            opened => opened?,
        };
        walked.push(name);
    }
    // Opened again, because a component can be neither listed nor synced.
    Ok(rustix::fs::openat(&directory, ".", DIRECTORY, Mode::empty())?)
}

fn open_component(parent: &OwnedFd, name: &OsStr, follows_links: bool) -> Result<OwnedFd, Errno> {
    let flags = if follows_links { COMPONENT } else { COMPONENT | OFlags::NOFOLLOW };
    match rustix::fs::openat(parent, name, flags, Mode::empty()) {
        // For a link, too.
        Err(Errno::NOTDIR) => {
            let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
            let is_link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
            Err(if is_link && !follows_links { Errno::LOOP } else { Errno::NOTDIR })
        }
        opened => opened,
    }
}

/// Creates a missing component. Never follows a link that somebody creates meanwhile.
fn create_component(parent: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    match rustix::fs::mkdirat(parent, name, Mode::RWXU) {
        Ok(()) => rustix::fs::fsync(rustix::fs::openat(parent, ".", DIRECTORY, Mode::empty())?)?,
        Err(Errno::EXIST) => {}
        Err(error) => return Err(error),
    }
    open_component(parent, name, false)
}

/// Refuses a directory in which every user may rename and replace entries. In a directory with the sticky bit, such as
/// /tmp, only the owner of an entry may.
fn refuse_writable_parent(directory: &OwnedFd, path: &Path) -> Result<(), OpenError> {
    let mode = Mode::from_raw_mode(rustix::fs::fstat(directory)?.st_mode);
    if mode.contains(Mode::WOTH) && !mode.contains(Mode::SVTX) {
        return Err(OpenError::WritableParent(path.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn nothing_is_created_behind_a_link_that_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let [elsewhere, link] = ["elsewhere", "link"].map(|name| root.path().join(name));
        fs::create_dir(&elsewhere).unwrap();
        symlink(&elsewhere, &link).unwrap();
        for mode in [SymlinkMode::Secure, SymlinkMode::TrySecure] {
            assert_eq!(open_or_create(&link.join("a/b"), mode).unwrap_err(), Errno::LOOP.into());
        }
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
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

    #[test]
    fn a_file_in_the_path_is_not_taken_for_a_link() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), "").unwrap();
        for mode in [SymlinkMode::Secure, SymlinkMode::Insecure] {
            let error = open_or_create(&root.path().join("file/a"), mode).unwrap_err();
            assert_eq!(error, Errno::NOTDIR.into());
        }
    }

    #[test]
    fn a_parent_that_every_user_may_write_is_refused_unless_insecure_or_sticky() {
        let root = tempfile::tempdir().unwrap();
        let parent = root.path().join("parent");
        let path = parent.join("a/b");
        fs::create_dir(&parent).unwrap();
        let open = |mode: u32, symlinks| {
            fs::set_permissions(&parent, Permissions::from_mode(mode)).unwrap();
            open_or_create(&path, symlinks)
        };
        for symlinks in [SymlinkMode::Secure, SymlinkMode::TrySecure] {
            let error = open(0o777, symlinks).unwrap_err();
            assert_eq!(error, OpenError::WritableParent(parent.clone()));
        }
        assert!(!parent.join("a").exists());
        open(0o777, SymlinkMode::Insecure).unwrap();
        open(0o1777, SymlinkMode::Secure).unwrap();
        open(0o755, SymlinkMode::Secure).unwrap();
    }
}
