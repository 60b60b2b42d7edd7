//! Writes files where they are, for folders that somebody else prepared: another owner's, or with another owner's files
//! (`tbot init`). One I/O edge.
//!
//! Replacing such a file would lose its owner, and with it its readers. Writing in place keeps them, at a price: who
//! reads in the middle of a renewal may see files of two generations, and a crash may leave them.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, OFlags, Stat};
use rustix::io::Errno;

use crate::agent::destination::atomic_write::NewFile;
use crate::agent::destination::directory::{Folder, FolderError, tree};
use crate::agent::destination::posix_acl::AccessList;

impl Folder {
    /// True when the folder or one of the files is another user's.
    pub(crate) fn takes_only_writing_in_place(&self, files: &[NewFile]) -> Result<bool, FolderError> {
        let me = rustix::process::geteuid().as_raw();
        if self.stat()?.st_uid != me {
            return Ok(true);
        }
        for (name, _) in files {
            let stat = tree::at(&self.fd, name, false, |folder, file| {
                rustix::fs::statat(folder, file, AtFlags::SYMLINK_NOFOLLOW)
            });
            match stat {
                Ok(stat) if stat.st_uid != me => return Ok(true),
                // A sub-folder that is a link, or none yet, holds nobody's files.
                Ok(_) | Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(error) => return Err(self.failed("look at", name, error.into())),
            }
        }
        Ok(false)
    }

    /// Writes each file over what it held, and makes it durable. All are opened before the first is changed.
    pub(crate) fn write_in_place(&self, files: &[NewFile]) -> Result<(), FolderError> {
        let folder = self.stat()?;
        let opened = files.iter().map(|(name, content)| Ok((name, content, self.open_old(name, &folder)?)));
        for (name, content, mut file) in opened.collect::<Result<Vec<_>, FolderError>>()? {
            // Over the old content rather than after emptying the file: a disk that is full takes nothing away then.
            let written = file
                .rewind()
                .and_then(|()| file.write_all(content))
                .and_then(|()| file.set_len(content.len().try_into().unwrap_or(u64::MAX)))
                .and_then(|()| file.sync_all());
            written.map_err(|error| self.failed("write", name, error))?;
        }
        self.sync()
    }

    /// What is wrong with the access lists of the folder and of these files.
    pub(crate) fn access_problem(&self, files: &[NewFile]) -> Result<Option<String>, FolderError> {
        if let Some(problem) = problem(&self.fd).map_err(|error| self.failed("look at", ".", error.into()))? {
            return Ok(Some(format!("{}: {problem}", self.path().display())));
        }
        for (name, _) in files {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let file = tree::at(&self.fd, name, false, |folder, file| {
                rustix::fs::openat(folder, file, flags, rustix::fs::Mode::empty())
            });
            match file.and_then(|file| problem(&file)) {
                Ok(Some(problem)) => {
                    return Ok(Some(format!("{}: {problem}", self.path().join(name).display())));
                }
                Ok(None) | Err(Errno::NOENT) => {}
                Err(error) => return Err(self.failed("look at", name, error.into())),
            }
        }
        Ok(None)
    }

    /// Opens a file to write over it; makes it where it is not there. Refuses what may be another file than it seems.
    fn open_old(&self, name: &str, folder: &Stat) -> Result<File, FolderError> {
        let opened = tree::at(&self.fd, name, true, |fd, file| {
            crate::agent::destination::directory::create(fd, file, OFlags::NONBLOCK)
        });
        let file = opened.map_err(|error| self.failed("write", name, error.into()))?;
        let stat = rustix::fs::fstat(&file).map_err(|error| self.failed("look at", name, error.into()))?;
        let me = rustix::process::geteuid().as_raw();
        let what = if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            "no file"
        } else if stat.st_nlink != 1 {
            "a file with a second name elsewhere"
        } else if ![me, folder.st_uid, 0].contains(&stat.st_uid) {
            "a file of a user who owns neither the folder nor the agent"
        } else {
            return Ok(file);
        };
        Err(FolderError::NotOurs { path: self.path().join(name), what })
    }

    fn stat(&self) -> Result<Stat, FolderError> {
        rustix::fs::fstat(&self.fd).map_err(|error| self.failed("look at", ".", error.into()))
    }
}

fn problem(file: &OwnedFd) -> Result<Option<&'static str>, Errno> {
    match AccessList::read(file)? {
        Some(list) => Ok(list.problem()),
        None if rustix::fs::fstat(file)?.st_mode & 0o077 != 0 => Ok(Some("others than its owner may use it")),
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
    fn files_stay_the_same_files() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path(), SymlinkMode::TrySecure).unwrap();
        assert!(!folder.takes_only_writing_in_place(&files("")).unwrap(), "all is ours");
        folder.write_in_place(&files("a long text")).unwrap();
        let inode = || fs::metadata(root.path().join("key")).unwrap().ino();
        let before = inode();
        folder.write_in_place(&files("short")).unwrap();
        assert_eq!(inode(), before);
        for (name, content) in files("short") {
            assert_eq!(fs::read(root.path().join(name)).unwrap(), content);
        }
    }

    #[test]
    fn a_file_with_a_second_name_and_a_link_are_refused_and_nothing_is_written() {
        let root = tempfile::tempdir().unwrap();
        let [victim, out] = ["victim", "out"].map(|name| root.path().join(name));
        fs::write(&victim, "whole").unwrap();
        fs::create_dir(&out).unwrap();
        let folder = Folder::open(&out, SymlinkMode::TrySecure).unwrap();
        let planted = out.join("cockroach/node.key");
        fs::create_dir(out.join("cockroach")).unwrap();
        for plant in [fs::hard_link::<_, &std::path::Path>, symlink] {
            plant(&victim, planted.as_path()).unwrap();
            folder.write_in_place(&files("secret")).unwrap_err();
            assert_eq!(fs::read_to_string(&victim).unwrap(), "whole");
            assert_eq!(fs::read_to_string(out.join("key")).unwrap(), "", "opened, and not written");
            fs::remove_file(&planted).unwrap();
        }
    }
}
