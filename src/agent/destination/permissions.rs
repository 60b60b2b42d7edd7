//! Sets the permissions of new files: those of the file that is replaced, or an ACL for the configured readers.
//!
//! Works only on open files.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Gid, Mode, Stat, Uid};
use rustix::io::Errno;

use crate::agent::destination::posix_acl::{Acl, ReaderId};

/// The owner, group, mode and ACL of a file or directory, which a renewal keeps.
pub(super) struct Permissions {
    stat: Stat,
    acl: Option<Acl>,
}

impl Permissions {
    pub(super) fn read(file: impl AsFd) -> Result<Self, Errno> {
        Ok(Self { stat: rustix::fs::fstat(&file)?, acl: Acl::read(&file)? })
    }

    /// Returns true if the file belongs to the user that the agent runs as.
    pub(super) fn is_of_agent(&self) -> bool {
        self.stat.st_uid == rustix::process::geteuid().as_raw()
    }

    /// Gives a new file to the owner of the old one.
    pub(super) fn apply_owner_to(&self, file: &OwnedFd) {
        set_owner(file, self.stat.st_uid);
    }

    /// Gives these permissions to a new file.
    ///
    /// A group or an ACL that cannot be set is not an error: the new file then has fewer permissions than the old one,
    /// never more.
    pub(super) fn apply_to(&self, file: &OwnedFd) -> Result<(), Errno> {
        let has_group = rustix::fs::fchown(file, None, Some(Gid::from_raw(self.stat.st_gid))).is_ok();
        if let Some(acl) = &self.acl
            && has_group
            && acl.write(file).is_ok()
        {
            return Ok(());
        }
        Acl::remove(file)?;
        // If the old file has an ACL, the group bits of its mode are the ACL's mask, not the group's permissions.
        let applicable =
            if has_group && self.acl.is_none() { Mode::RWXU | Mode::RWXG | Mode::RWXO } else { Mode::RWXU };
        let mode = Mode::from_raw_mode(self.stat.st_mode) & applicable;
        // Some file systems give every file the same mode, and refuse to set it.
        if Mode::from_raw_mode(rustix::fs::fstat(file)?.st_mode) == mode {
            return Ok(());
        }
        rustix::fs::fchmod(file, mode)
    }
}

/// Gives an open file to a user, which only root can do. If it fails, the file still belongs to the agent's user.
///
/// Root may run the agent once in a directory of the agent's usual user, who must be able to use the files afterwards.
pub(super) fn set_owner(file: impl AsFd, owner: u32) {
    let agent = rustix::process::geteuid();
    if agent.is_root() && agent.as_raw() != owner {
        let _ = rustix::fs::fchown(file, Some(Uid::from_raw(owner)), None);
    }
}

/// Removes permissions from an open file or directory. Those of the group are also the mask of an ACL.
pub(super) fn remove_permissions(file: &OwnedFd, removed: Mode) -> Result<(), Errno> {
    let mode = Mode::from_raw_mode(rustix::fs::fstat(file)?.st_mode);
    if !mode.intersects(removed) {
        return Ok(());
    }
    match rustix::fs::fchmod(file, mode - removed) {
        // Some file systems give every file the same mode.
        Err(Errno::PERM | Errno::NOTSUP) => Ok(()),
        changed => changed,
    }
}

/// Gives the configured readers access to the files of one set.
#[derive(Debug, Default)]
pub(crate) struct ReaderGrant {
    readers: BTreeSet<ReaderId>,
    /// Whether a write fails if access cannot be given (`acls: required`).
    required: bool,
    /// The names of files that must not be accessible to all users.
    private: &'static [&'static str],
    failure: Cell<Option<Errno>>,
}

impl ReaderGrant {
    pub(crate) fn new(readers: BTreeSet<ReaderId>, required: bool) -> Self {
        Self { readers, required, private: &[], failure: Cell::new(None) }
    }

    /// Returns a grant that never fails a write. With it, the `private` files do not keep a permission of all users.
    pub(crate) fn best_effort(self, private: &'static [&'static str]) -> Self {
        Self { required: false, private, ..self }
    }

    /// Returns the last error that was ignored because access is not required.
    pub(crate) fn failure(&self) -> Option<Errno> {
        self.failure.get()
    }

    /// Sets the permissions of a new file: the readers' ACL, or the permissions of the file that it replaces. If there is neither,
    /// only the owner has access.
    pub(super) fn apply_to_file(
        &self,
        file: &OwnedFd,
        name: &str,
        replaced: Option<&Permissions>,
    ) -> Result<(), Errno> {
        if self.apply(|readers| Acl::for_file(readers).write(file))? {
            return Ok(());
        }
        match replaced {
            Some(replaced) => {
                replaced.apply_to(file)?;
                if self.private.contains(&name) { remove_permissions(file, Mode::RWXO) } else { Ok(()) }
            }
            None => Acl::remove(file),
        }
    }

    /// Returns true if a file with these permissions gives the readers the access that a new file would.
    pub(super) fn is_given_by(&self, permissions: &Permissions) -> bool {
        self.readers.is_empty() || permissions.acl.as_ref() == Some(&Acl::for_file(&self.readers))
    }

    /// Lets the readers list and enter an existing directory.
    pub(super) fn apply_to_directory(&self, directory: &OwnedFd) -> Result<(), Errno> {
        let add_readers = |readers: &BTreeSet<ReaderId>| {
            let Permissions { stat, acl } = Permissions::read(directory)?;
            let extended = Acl::for_directory(&stat, acl.clone(), readers);
            if acl.as_ref() == Some(&extended) { Ok(()) } else { extended.write(directory) }
        };
        self.apply(add_readers).map(drop)
    }

    /// Tests whether `file` can have an ACL at all.
    pub(super) fn test(&self, file: &OwnedFd) -> Result<(), Errno> {
        Acl::for_file(&self.readers).write(file)
    }

    /// Calls `apply` with the readers, if there are any. Returns true if they have access afterwards.
    fn apply(&self, apply: impl FnOnce(&BTreeSet<ReaderId>) -> Result<(), Errno>) -> Result<bool, Errno> {
        if self.readers.is_empty() {
            return Ok(false);
        }
        match apply(&self.readers) {
            Ok(()) => Ok(true),
            Err(error) if self.required => Err(error),
            Err(error) => {
                self.failure.set(Some(error));
                Ok(false)
            }
        }
    }
}
