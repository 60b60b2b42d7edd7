//! Writes files where they are, for folders that somebody prepared: another owner's, or files with access control lists.
//! One I/O edge.
//!
//! Replacing such a file would lose its owner and its list, and with them its readers. Writing in place keeps them, at
//! a price: who reads in the middle of a renewal may see files of two generations.

use std::io::Write as _;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::durable::NewFile;
use super::folder::{Folder, FolderError};

impl Folder {
    /// True when the folder or one of the files is another user's, or a file has an access control list.
    pub(crate) fn takes_only_writing_in_place(&self, files: &[NewFile]) -> Result<bool, FolderError> {
        let me = rustix::process::geteuid().as_raw();
        let folder =
            rustix::fs::fstat(&self.fd).map_err(|error| self.failed("look at", ".", error.into()))?;
        if folder.st_uid != me {
            return Ok(true);
        }
        for (name, _) in files {
            match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) if stat.st_uid != me || self.has_access_list(name)? => return Ok(true),
                Ok(_) | Err(Errno::NOENT) => {}
                Err(error) => return Err(self.failed("look at", name, error.into())),
            }
        }
        Ok(false)
    }

    /// Writes each file over what it held, and makes it durable.
    pub(crate) fn write_in_place(&self, files: &[NewFile]) -> Result<(), FolderError> {
        tracing::debug!(
            folder = %self.path().display(),
            "files are written in place, because the folder or a file is another user's or has an access control list"
        );
        for (name, content) in files {
            let failed = |error| self.failed("write", name, error);
            let mut file = self.create(name, OFlags::TRUNC).map_err(|error| failed(error.into()))?;
            file.write_all(content).and_then(|()| file.sync_all()).map_err(failed)?;
        }
        self.sync()
    }

    #[cfg(target_os = "linux")]
    fn has_access_list(&self, name: &str) -> Result<bool, FolderError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(file) => file,
            // A link is replaced, never followed.
            Err(Errno::LOOP) => return Ok(false),
            Err(error) => return Err(self.failed("open", name, error.into())),
        };
        // The list itself is not read: whether it would fit into nothing tells that it is there.
        let mut nothing: [u8; 0] = [];
        match rustix::fs::fgetxattr(&file, "system.posix_acl_access", &mut nothing[..]) {
            Ok(_) | Err(Errno::RANGE) => Ok(true),
            Err(Errno::NODATA | Errno::NOTSUP) => Ok(false),
            Err(error) => Err(self.failed("read the access control list of", name, error.into())),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn has_access_list(&self, _name: &str) -> Result<bool, FolderError> {
        let _: (Mode, OFlags) = (Mode::empty(), OFlags::empty());
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;
    use crate::config::SymlinkMode;

    /// `user::rw-, user:1:rw-, group::---, mask::rw-, other::---` as Linux stores it: version 2, then tag,
    /// permissions and id of each entry, little endian.
    const ACCESS_LIST: [u8; 44] = [
        2, 0, 0, 0, //
        1, 0, 6, 0, 255, 255, 255, 255, //
        2, 0, 6, 0, 1, 0, 0, 0, //
        4, 0, 0, 0, 255, 255, 255, 255, //
        16, 0, 6, 0, 255, 255, 255, 255, //
        32, 0, 0, 0, 255, 255, 255, 255,
    ];

    #[test]
    fn a_file_with_an_access_list_keeps_it() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path(), SymlinkMode::TrySecure).unwrap();
        let files = |content: &str| vec![("key".to_owned(), content.as_bytes().to_vec())];
        assert!(!folder.takes_only_writing_in_place(&files("")).unwrap(), "no file yet");
        folder.commit(&files("1")).unwrap();
        assert!(!folder.takes_only_writing_in_place(&files("")).unwrap());

        let path = root.path().join("key");
        let set = rustix::fs::setxattr(
            &path,
            "system.posix_acl_access",
            &ACCESS_LIST,
            rustix::fs::XattrFlags::empty(),
        );
        if set == Err(Errno::NOTSUP) {
            return;
        }
        set.unwrap();
        let inode = std::fs::metadata(&path).unwrap().ino();
        assert!(folder.takes_only_writing_in_place(&files("")).unwrap());
        folder.write_in_place(&files("2")).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().ino(), inode);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "2");
        assert!(folder.takes_only_writing_in_place(&files("")).unwrap(), "the list is still there");
    }
}
