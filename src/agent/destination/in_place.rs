//! Overwrites files in place, in directories that another user prepared: the directory or some of its files do not
//! belong to the agent's user (as after the Go agent's `tbot init`).
//!
//! Replacing such a file would lose its owner, and with the owner its readers. Writing in place keeps them, but a
//! program that reads during a renewal may see files of two versions of the set, and a crash may leave them like that.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::agent::destination::directory::{DirectoryError, DirectoryHandle, create_file, tree};
use crate::agent::destination::posix_acl::{Acl, AclProblem};
use crate::agent::destination::staging::NewFile;

impl DirectoryHandle {
    /// Returns true if the directory or one of the files belongs to another user.
    pub(crate) fn requires_in_place_writing(&self, files: &[NewFile]) -> Result<bool, DirectoryError> {
        let agent = rustix::process::geteuid().as_raw();
        if self.stat()?.st_uid != agent {
            return Ok(true);
        }
        for (name, _) in files {
            let stat = tree::with_parent(&self.fd, name, false, |directory, file| {
                rustix::fs::statat(directory, file, AtFlags::SYMLINK_NOFOLLOW)
            });
            match stat {
                Ok(stat) if stat.st_uid != agent => return Ok(true),
                // There is no such file yet, or its subdirectory is missing or a link.
                Ok(_) | Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(error) => return Err(self.io_error("inspect", name, error)),
            }
        }
        Ok(false)
    }

    /// Overwrites and fsyncs each file. All files are opened before the first one is changed.
    pub(crate) fn write_in_place(&self, files: &[NewFile]) -> Result<(), DirectoryError> {
        let owner = self.stat()?.st_uid;
        let opened =
            files.iter().map(|(name, content)| Ok((name, content, self.open_for_overwrite(name, owner)?)));
        for (name, content, mut file) in opened.collect::<Result<Vec<_>, DirectoryError>>()? {
            // Truncated only after writing, so that a full disk does not destroy the old content.
            let written = file
                .rewind()
                .and_then(|()| file.write_all(content))
                .and_then(|()| file.set_len(content.len().try_into().unwrap_or(u64::MAX)))
                .and_then(|()| file.sync_all());
            written.map_err(|error| self.io_error("write", name, error))?;
        }
        self.sync()
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
        for (name, _) in files {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let file = tree::with_parent(&self.fd, name, false, |directory, file| {
                rustix::fs::openat(directory, file, flags, Mode::empty())
            });
            match file.and_then(|file| acl_problem(&file)) {
                Ok(Some(problem)) => return Ok(Some((self.path().join(name), problem))),
                Ok(None) | Err(Errno::NOENT) => {}
                Err(error) => return Err(self.io_error("inspect", name, error)),
            }
        }
        Ok(None)
    }

    /// Opens a file for overwriting, and creates it if it is missing. Refuses everything but a regular file with a
    /// single link that belongs to the agent's user, root or the owner of the directory.
    fn open_for_overwrite(&self, name: &str, directory_owner: u32) -> Result<File, DirectoryError> {
        let opened = tree::with_parent(&self.fd, name, true, |directory, file| {
            create_file(directory, file, OFlags::NONBLOCK)
        });
        let file = opened.map_err(|error| self.io_error("write", name, error))?;
        let stat = rustix::fs::fstat(&file).map_err(|error| self.io_error("inspect", name, error))?;
        let agent = rustix::process::geteuid().as_raw();
        self.refuse_foreign_file(name, &stat, &[agent, directory_owner, 0])?;
        Ok(file)
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
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;
    use crate::config::SymlinkMode;

    fn files(content: &str) -> Vec<NewFile> {
        ["key", "cockroach/node.key"].map(|name| (name.to_owned(), content.as_bytes().to_vec())).to_vec()
    }

    #[test]
    fn files_keep_their_inodes() {
        let root = tempfile::tempdir().unwrap();
        let directory = DirectoryHandle::open(root.path(), SymlinkMode::TrySecure).unwrap();
        assert!(!directory.requires_in_place_writing(&files("")).unwrap(), "the agent owns everything");
        directory.write_in_place(&files("a long string")).unwrap();
        let inode = || fs::metadata(root.path().join("key")).unwrap().ino();
        let before = inode();
        directory.write_in_place(&files("short")).unwrap();
        assert_eq!(inode(), before);
        for (name, content) in files("short") {
            assert_eq!(fs::read(root.path().join(name)).unwrap(), content);
        }
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
            directory.write_in_place(&files("secret")).unwrap_err();
            assert_eq!(fs::read_to_string(&victim).unwrap(), "whole");
            assert_eq!(fs::read_to_string(out.join("key")).unwrap(), "", "opened, but not written");
            fs::remove_file(&planted).unwrap();
        }
    }
}
