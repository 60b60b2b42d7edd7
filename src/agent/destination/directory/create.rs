//! Opens a directory component by component, and creates missing ones. Follows neither links that `symlinks` refuses,
//! nor a path that other users can redirect.
//!
//! The owner of a parent is trusted: a path below it is configured on purpose, so what the owner puts there is accepted.
//! Other users who may write to a parent are not trusted.
//!
//! Depends on nothing else of the agent.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
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
    /// The directory belongs to another user. Several users may write to this parent of it, so it is unknown who has put
    /// the directory there.
    ForeignInSharedParent {
        owner: u32,
        parent: PathBuf,
    },
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
    let mut trust = PathTrust::default();
    for component in path.components() {
        let name = match component {
            Component::Normal(name) => name,
            Component::ParentDir => OsStr::new(".."),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => continue,
        };
        let parent = rustix::fs::fstat(&directory)?;
        if symlinks != SymlinkMode::Insecure && component != Component::ParentDir {
            refuse_writable_parent(&parent, &walked)?;
        }
        directory = match open_component(&directory, name, follows_links) {
            Err(Errno::NOENT) => create_component(&directory, name)?,
            opened => opened?,
        };
        if component == Component::ParentDir {
            trust.ascend();
        } else {
            trust.descend(&parent, &walked, &rustix::fs::fstat(&directory)?);
        }
        walked.push(name);
    }
    if symlinks != SymlinkMode::Insecure {
        trust.refuse_foreign(&rustix::fs::fstat(&directory)?)?;
    }
    // Opened again, because a component can be neither listed nor synced.
    Ok(rustix::fs::openat(&directory, ".", DIRECTORY, Mode::empty())?)
}

/// Tracks, while a path is opened, whether users who are not trusted may have put a part of it in its place.
#[derive(Default)]
struct PathTrust {
    /// The first parent whose entries more users than the owner may move.
    movable: Option<PathBuf>,
    /// The first parent in which the next component may belong to a user who is not trusted.
    untrusted: Option<PathBuf>,
}

impl PathTrust {
    /// Goes from `parent`, whose path is `path`, to one of its entries.
    fn descend(&mut self, parent: &Stat, path: &Path, entry: &Stat) {
        let mode = Mode::from_raw_mode(parent.st_mode);
        if !mode.intersects(Mode::WGRP | Mode::WOTH) {
            return;
        }
        if !mode.contains(Mode::SVTX) {
            self.movable.get_or_insert_with(|| path.to_owned());
        }
        if is_foreign(entry) && entry.st_uid != parent.st_uid {
            self.untrusted.get_or_insert_with(|| path.to_owned());
        }
    }

    /// Goes to the parent of a directory, which is a different one than the path says if the directory was moved.
    fn ascend(&mut self) {
        self.untrusted = self.untrusted.take().or_else(|| self.movable.clone());
    }

    /// Refuses to write keys for a user who is known only as the owner of a directory in a shared parent.
    fn refuse_foreign(self, directory: &Stat) -> Result<(), OpenError> {
        match self.untrusted {
            Some(parent) if is_foreign(directory) => {
                Err(OpenError::ForeignInSharedParent { owner: directory.st_uid, parent })
            }
            _ => Ok(()),
        }
    }
}

/// Returns true if a directory belongs neither to the agent's user nor to root.
fn is_foreign(directory: &Stat) -> bool {
    ![0, rustix::process::geteuid().as_raw()].contains(&directory.st_uid)
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
fn refuse_writable_parent(parent: &Stat, path: &Path) -> Result<(), OpenError> {
    let mode = Mode::from_raw_mode(parent.st_mode);
    if mode.contains(Mode::WOTH) && !mode.contains(Mode::SVTX) {
        return Err(OpenError::WritableParent(path.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

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
    fn a_link_that_was_created_since_the_path_was_opened_is_not_followed() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("elsewhere")).unwrap();
        let parent = rustix::fs::open(root.path(), COMPONENT, Mode::empty()).unwrap();
        // As if another user had created the link after `open_component` found nothing.
        symlink("elsewhere", root.path().join("out")).unwrap();
        assert_eq!(create_component(&parent, OsStr::new("out")).unwrap_err(), Errno::LOOP);
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

    /// Creates `/parent/out` with these owners and this mode of the parent, and opens it by this path.
    #[track_caller]
    fn open_with_owners(parent: (u32, u32), out: u32, path: &str) -> Result<(), OpenError> {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("parent");
        fs::create_dir_all(directory.join("out")).unwrap();
        fs::create_dir_all(directory.join("empty")).unwrap();
        chown(directory.join("out"), Some(out), None).unwrap();
        chown(&directory, Some(parent.0), None).unwrap();
        fs::set_permissions(&directory, Permissions::from_mode(parent.1)).unwrap();
        let opened = |symlinks| open_or_create(&root.path().join(path), symlinks).map(drop);
        opened(SymlinkMode::Insecure).unwrap();
        let result = opened(SymlinkMode::Secure);
        if let Err(OpenError::ForeignInSharedParent { owner, parent }) = &result {
            assert_eq!((*owner, parent), (out, &directory));
        }
        result
    }

    #[test]
    #[ignore = "needs root"]
    fn a_directory_of_another_user_is_refused_if_several_users_may_have_put_it_there() {
        const ALICE: u32 = 1;
        const BOB: u32 = 2;
        let is_refused = |parent, out| match open_with_owners(parent, out, "parent/out") {
            Ok(()) => false,
            Err(OpenError::ForeignInSharedParent { .. }) => true,
            Err(error) => panic!("{error:?}"),
        };
        // Prepared by root or by the owner of the parent, whose group may have no other member.
        for parent in [(0, 0o755), (ALICE, 0o755), (ALICE, 0o700), (ALICE, 0o775), (ALICE, 0o1777)] {
            assert!(!is_refused(parent, ALICE), "{parent:?}");
        }
        for parent in [(0, 0o775), (0, 0o2775), (0, 0o1777), (BOB, 0o775)] {
            assert!(is_refused(parent, ALICE), "{parent:?}");
            assert!(!is_refused(parent, 0), "a directory of root or of the agent");
        }
    }

    #[test]
    #[ignore = "needs root"]
    fn a_path_that_leads_back_out_of_a_shared_parent_is_not_trusted_to_return_to_it() {
        for (mode, is_refused) in [(0o755, false), (0o775, true)] {
            let opened = open_with_owners((0, mode), 1, "parent/empty/../out");
            assert_eq!(opened.is_err(), is_refused, "{mode:o}: {opened:?}");
        }
    }
}
