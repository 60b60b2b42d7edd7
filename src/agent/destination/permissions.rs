//! Who may read what is written: what somebody set on the old file is kept, or the configured readers are given access.
//! One I/O edge, on files that are open already.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

use rustix::fs::{Gid, Mode, Stat};
use rustix::io::Errno;

use crate::agent::destination::posix_acl::{AccessList, ReaderId};

/// What a renewal does not change about a file or folder.
pub(super) struct Rights {
    stat: Stat,
    list: Option<AccessList>,
}

impl Rights {
    pub(super) fn of(file: &OwnedFd) -> Result<Self, Errno> {
        Ok(Self { stat: rustix::fs::fstat(file)?, list: AccessList::read(file)? })
    }

    /// Gives a new file what the old one had. A group or a list that cannot be given is no reason to fail: then fewer
    /// may read, never more.
    pub(super) fn keep(&self, file: &OwnedFd) -> Result<(), Errno> {
        let given = rustix::fs::fchown(file, None, Some(Gid::from_raw(self.stat.st_gid))).is_ok();
        if let Some(list) = &self.list
            && given
            && list.write(file).is_ok()
        {
            return Ok(());
        }
        // With a list, the mode's middle bits are the list's mask, not the group's.
        let all =
            if given && self.list.is_none() { Mode::RWXU | Mode::RWXG | Mode::RWXO } else { Mode::RWXU };
        rustix::fs::fchmod(file, Mode::from_raw_mode(self.stat.st_mode) & all)
    }
}

/// The configured readers, for one change of a set.
#[derive(Debug, Default)]
pub(crate) struct Grant {
    readers: BTreeSet<ReaderId>,
    /// `acls: required`.
    required: bool,
    refused: Cell<Option<Errno>>,
}

impl Grant {
    pub(crate) fn new(readers: BTreeSet<ReaderId>, required: bool) -> Self {
        Self { readers, required, refused: Cell::new(None) }
    }

    /// The same, but a reader that cannot be given access is no reason to fail.
    pub(crate) fn at_will(self) -> Self {
        Self { required: false, ..self }
    }

    /// Why the readers could not be given access, where that is no reason to fail.
    pub(crate) fn refused(&self) -> Option<Errno> {
        self.refused.get()
    }

    /// Settles who may read a new file.
    pub(super) fn file(&self, file: &OwnedFd, old: Option<&Rights>) -> Result<(), Errno> {
        if self.give(|readers| AccessList::of_file(readers).write(file))? {
            return Ok(());
        }
        old.map_or(Ok(()), |old| old.keep(file))
    }

    /// Lets the readers into a folder that is there already.
    pub(super) fn folder(&self, folder: &OwnedFd) -> Result<(), Errno> {
        let add = |readers: &BTreeSet<ReaderId>| {
            let Rights { stat, list } = Rights::of(folder)?;
            let wanted = AccessList::of_folder(&stat, list.clone(), readers);
            if list.as_ref() == Some(&wanted) { Ok(()) } else { wanted.write(folder) }
        };
        self.give(add).map(drop)
    }

    /// Sees whether a file can have a list at all.
    pub(super) fn test(&self, file: &OwnedFd) -> Result<(), Errno> {
        AccessList::of_file(&self.readers).write(file)
    }

    /// True when the readers have access.
    fn give(&self, give: impl FnOnce(&BTreeSet<ReaderId>) -> Result<(), Errno>) -> Result<bool, Errno> {
        if self.readers.is_empty() {
            return Ok(false);
        }
        match give(&self.readers) {
            Ok(()) => Ok(true),
            Err(error) if self.required => Err(error),
            Err(error) => {
                self.refused.set(Some(error));
                Ok(false)
            }
        }
    }
}
