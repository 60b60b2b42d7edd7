//! Overwrites files in place, in directories that another user prepared: the directory does not belong to the agent's user
//! (as after the Go agent's `tbot init`), or some of its files belong to root.
//!
//! Replacing such a file would lose its owner, and with the owner its readers. Writing in place keeps them, but a
//! program that reads during a renewal may see files of two versions of the set, and a crash may leave them like that.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::agent::destination::directory::{DirectoryError, DirectoryHandle, tree};
use crate::agent::destination::posix_acl::{Acl, AclProblem};
use crate::agent::destination::staging::{NewFile, overwrite};
use crate::agent::platform::regular_file::{Obstacle, RegularFileError};
use crate::config::AclMode;

impl DirectoryHandle {
    /// Returns true if the directory belongs to another user, or one of the files with these names to root.
    ///
    /// # Errors
    ///
    /// Returns [`DirectoryError::Obstructed`] if another user has put a file into the agent's directory, or root has put one there
    /// among the agent's own. Such a file must not decide how the others are written. Returns
    /// [`DirectoryError::LinksInForeignDirectory`] if the directory belongs to another user, and one of the files is a link of an agent,
    /// which is never written in place.
    pub(crate) fn requires_in_place_writing<'a>(
        &self,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<bool, DirectoryError> {
        let agent = rustix::process::geteuid().as_raw();
        let owner = self.stat()?.st_uid;
        if owner != agent {
            for name in names {
                if self.is_own_link(tree::top_level(name))? {
                    return Err(DirectoryError::LinksInForeignDirectory {
                        path: self.path().to_owned(),
                        owner,
                    });
                }
            }
            return Ok(true);
        }
        // Among the links to a generation directory, a file of root is one that somebody has edited or copied there.
        let is_prepared = self.open_current_generation_directory()?.is_none();
        for name in names {
            let stat = tree::in_parent(&self.fd, name, |directory, file| {
                rustix::fs::statat(directory, file, AtFlags::SYMLINK_NOFOLLOW)
            });
            match stat {
                Ok(stat) if stat.st_uid == agent => {}
                Ok(stat) if stat.st_uid == 0 && is_prepared => return Ok(true),
                Ok(stat) => {
                    let obstacle = match FileType::from_raw_mode(stat.st_mode) {
                        FileType::RegularFile => Obstacle::ForeignFile,
                        other => Obstacle::of_type(other),
                    };
                    return Err(self.obstructed(name, obstacle));
                }
                // There is no such file yet, or its subdirectory is missing or a link.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(error) => return Err(self.io_error("inspect", name, error)),
            }
        }
        Ok(false)
    }

    /// Returns an error if a file with one of these names exists and could not be written in place.
    pub(crate) fn check_overwritable(&self, names: &[&str], acls: AclMode) -> Result<(), DirectoryError> {
        for name in names {
            if self.file_type(name)?.is_some() {
                self.open_to_overwrite(name, OFlags::empty(), acls)?;
            }
        }
        Ok(())
    }

    fn open_to_overwrite(&self, name: &str, flags: OFlags, acls: AclMode) -> Result<File, DirectoryError> {
        let file = self.open_file(name, OFlags::WRONLY | flags, "write")?;
        if acls != AclMode::Off {
            self.refuse_accessible_to_others(name, &file)?;
        }
        Ok(file)
    }

    /// Overwrites and fsyncs each file. All files are opened before the first one is changed. New files belong to the owner of the
    /// directory.
    ///
    /// # Errors
    ///
    /// Returns an error if one of the files is accessible to all users, unless `acls` is `off`.
    pub(crate) fn write_in_place(&self, files: &[NewFile], acls: AclMode) -> Result<(), DirectoryError> {
        let opened = files.iter().map(|(name, content)| {
            if let (Some(subdirectory), _) = tree::split(name) {
                let opened = tree::open_or_create(&self.fd, subdirectory);
                self.give_to_owner(opened.map_err(|error| self.io_error("write", name, error))?)?;
            }
            let file = self.open_to_overwrite(name, OFlags::CREATE, acls)?;
            self.give_to_owner(&file)?;
            Ok((name, content, file))
        });
        for (name, content, mut file) in opened.collect::<Result<Vec<_>, DirectoryError>>()? {
            overwrite(&mut file, content).map_err(|error| self.io_error("write", name, error))?;
        }
        self.sync()
    }

    /// Returns an error if all users have a permission for the file, which another user has created. If every user may
    /// have put the file there, it must not give a group a permission either.
    fn refuse_accessible_to_others(&self, name: &str, file: &File) -> Result<(), DirectoryError> {
        let stat = rustix::fs::fstat(file).map_err(|error| self.io_error("inspect", name, error))?;
        let mode = Mode::from_raw_mode(stat.st_mode);
        let path = || self.path().join(name);
        if mode.intersects(Mode::RWXO) {
            return Err(DirectoryError::AccessibleToOthers { path: path() });
        }
        if mode.intersects(Mode::RWXG) && self.is_writable_by_others()? {
            return Err(DirectoryError::AccessibleToGroup { path: path() });
        }
        Ok(())
    }

    /// Returns the first problem with the ACLs of the directory and of these files, and its path.
    pub(crate) fn find_acl_problem(
        &self,
        files: &[NewFile],
    ) -> Result<Option<(PathBuf, AclProblem)>, DirectoryError> {
        let problem = acl_problem(&self.fd).map_err(|error| self.io_error("inspect", ".", error))?;
        if let Some(problem) = problem {
            return Ok(Some((self.path().to_owned(), problem)));
        }
        let owners = self.trusted_owners()?;
        for (name, _) in files {
            let file = tree::open_file(&self.fd, name, OFlags::RDONLY, &owners);
            match file.and_then(|file| Ok(acl_problem(&file.into())?)) {
                Ok(Some(problem)) => return Ok(Some((self.path().join(name), problem))),
                Ok(None) => {}
                Err(RegularFileError::Io(error)) if Errno::from_io_error(&error) == Some(Errno::NOENT) => {}
                Err(error) => return Err(self.file_error("inspect", name, error)),
            }
        }
        Ok(None)
    }
}

fn acl_problem(file: &OwnedFd) -> Result<Option<AclProblem>, Errno> {
    match Acl::read(file)? {
        Some(acl) => Ok(acl.problem()),
        None if rustix::fs::fstat(file)?.st_mode & 0o077 != 0 => Ok(Some(AclProblem::OthersHaveAccess)),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, lchown, symlink};

    use super::*;
    use crate::agent::destination::permissions::ReaderGrant;
    use crate::config::SymlinkMode;

    const NAMES: [&str; 2] = ["key", "cockroach/node.key"];

    fn files(content: &str) -> Vec<NewFile> {
        NAMES.map(|name| (name.to_owned(), content.as_bytes().to_vec())).to_vec()
    }

    #[test]
    fn files_keep_their_inodes() {
        let root = tempfile::tempdir().unwrap();
        let directory = DirectoryHandle::open(root.path(), SymlinkMode::TrySecure).unwrap();
        assert!(!directory.requires_in_place_writing(NAMES).unwrap(), "the agent owns everything");
        directory.write_in_place(&files("a long string"), AclMode::Try).unwrap();
        let inode = || fs::metadata(root.path().join("key")).unwrap().ino();
        let before = inode();
        directory.write_in_place(&files("short"), AclMode::Try).unwrap();
        assert_eq!(inode(), before);
        for (name, content) in files("short") {
            assert_eq!(fs::read(root.path().join(name)).unwrap(), content);
        }
    }

    #[test]
    fn a_file_that_all_users_may_read_gets_no_key_unless_acls_are_off() {
        let root = tempfile::tempdir().unwrap();
        let directory = DirectoryHandle::open(root.path(), SymlinkMode::TrySecure).unwrap();
        let key = root.path().join("key");
        fs::write(&key, "planted").unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        for acls in [AclMode::Try, AclMode::Required] {
            match directory.write_in_place(&files("secret"), acls).unwrap_err() {
                DirectoryError::AccessibleToOthers { path } => assert_eq!(path, key),
                error => panic!("{error:?}"),
            }
            assert_eq!(fs::read_to_string(&key).unwrap(), "planted");
        }
        directory.write_in_place(&files("public"), AclMode::Off).unwrap();
        assert_eq!(fs::read_to_string(&key).unwrap(), "public");
    }

    #[test]
    fn a_file_that_a_group_may_read_gets_no_key_if_every_user_may_have_put_it_there() {
        let root = tempfile::tempdir().unwrap();
        let directory = DirectoryHandle::open(root.path(), SymlinkMode::TrySecure).unwrap();
        let key = root.path().join("key");
        let set_mode = |path: &std::path::Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        directory.write_in_place(&files("1"), AclMode::Try).unwrap();
        set_mode(&key, 0o640);
        directory.write_in_place(&files("2"), AclMode::Try).unwrap();
        set_mode(root.path(), 0o777);
        match directory.write_in_place(&files("3"), AclMode::Try).unwrap_err() {
            DirectoryError::AccessibleToGroup { path } => assert_eq!(path, key),
            error => panic!("{error:?}"),
        }
        assert_eq!(fs::read_to_string(&key).unwrap(), "2");
        set_mode(&key, 0o600);
        directory.write_in_place(&files("4"), AclMode::Try).unwrap();
    }

    #[test]
    fn hard_and_symbolic_links_are_refused_and_nothing_is_written() {
        let root = tempfile::tempdir().unwrap();
        let [victim, out] = ["victim", "out"].map(|name| root.path().join(name));
        fs::write(&victim, "whole").unwrap();
        fs::create_dir(&out).unwrap();
        let directory = DirectoryHandle::open(&out, SymlinkMode::TrySecure).unwrap();
        let planted = out.join("cockroach/node.key");
        fs::create_dir(out.join("cockroach")).unwrap();
        for plant in [fs::hard_link::<_, &std::path::Path>, symlink] {
            plant(&victim, planted.as_path()).unwrap();
            directory.write_in_place(&files("secret"), AclMode::Try).unwrap_err();
            assert_eq!(fs::read_to_string(&victim).unwrap(), "whole");
            assert_eq!(fs::read_to_string(out.join("key")).unwrap(), "", "opened, but not written");
            fs::remove_file(&planted).unwrap();
        }
    }

    #[test]
    #[ignore = "needs root"]
    fn root_gives_new_files_to_the_owner_of_the_directory_but_none_with_content() {
        let root = tempfile::tempdir().unwrap();
        let directory = DirectoryHandle::open(root.path(), SymlinkMode::TrySecure).unwrap();
        chown(root.path(), Some(1), None).unwrap();
        let planted = root.path().join("planted");
        fs::write(&planted, "a secret of root").unwrap();
        fs::set_permissions(&planted, fs::Permissions::from_mode(0o600)).unwrap();
        let mut files = files("content");
        files.push(("planted".to_owned(), b"content".to_vec()));
        directory.write_in_place(&files, AclMode::Try).unwrap();
        let owner = |name| fs::metadata(root.path().join(name)).unwrap().uid();
        assert_eq!(["key", "cockroach", "cockroach/node.key", "planted"].map(owner), [1, 1, 1, 0]);
    }

    #[test]
    #[ignore = "needs root"]
    fn links_in_a_directory_that_was_given_to_another_user_are_an_error_of_its_own() {
        let root = tempfile::tempdir().unwrap();
        let directory = DirectoryHandle::open(root.path(), SymlinkMode::TrySecure).unwrap();
        directory.write_generation_directory(&files("content"), &[], &ReaderGrant::default()).unwrap();
        chown(root.path(), Some(1), None).unwrap();
        match directory.requires_in_place_writing(NAMES).unwrap_err() {
            DirectoryError::LinksInForeignDirectory { path, owner: 1 } => assert_eq!(path, root.path()),
            error => panic!("{error:?}"),
        }
        // A copy in which the links were followed: `..data` is of no importance.
        for name in ["key", "cockroach"] {
            fs::remove_file(root.path().join(name)).unwrap();
        }
        directory.write_in_place(&files("a copy"), AclMode::Try).unwrap();
        assert!(directory.requires_in_place_writing(NAMES).unwrap());
    }

    #[test]
    #[ignore = "needs root"]
    fn a_file_that_another_user_has_put_into_the_agents_directory_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let directory = DirectoryHandle::open(root.path(), SymlinkMode::TrySecure).unwrap();
        let key = root.path().join("key");
        let refused = || match directory.requires_in_place_writing(NAMES).unwrap_err() {
            DirectoryError::Obstructed { path, obstacle } if path == key => obstacle,
            error => panic!("{error:?}"),
        };
        fs::write(&key, "planted").unwrap();
        chown(&key, Some(1), None).unwrap();
        assert_eq!(refused(), Obstacle::ForeignFile);
        fs::remove_file(&key).unwrap();
        symlink("elsewhere", &key).unwrap();
        lchown(&key, Some(1), None).unwrap();
        assert_eq!(refused(), Obstacle::SymbolicLink);
    }
}
