//! Reads and writes POSIX access control lists (ACLs), which Linux keeps in the extended attribute
//! `system.posix_acl_access`. Works only on open files.
//!
//! The encoding is stable and little endian: the version 2 in 4 bytes, then 8 bytes per entry: tag, permissions, id.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::Stat;
use rustix::io::Errno;

const VERSION: u32 = 2;
/// The id of an entry that applies to no particular user or group.
const NO_ID: u32 = u32::MAX;
const READ: u16 = 4;
const WRITE: u16 = 2;
const SEARCH: u16 = 1;

/// The users or groups that an entry applies to, in the order that Linux requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tag {
    Owner,
    User(u32),
    OwningGroup,
    Group(u32),
    /// Limits the permissions of users, groups and the owning group.
    Mask,
    Others,
}

impl Tag {
    /// Whether the mask limits the permissions of an entry.
    fn is_masked(self) -> bool {
        matches!(self, Self::User(_) | Self::Group(_) | Self::OwningGroup)
    }
}

/// The numeric id of a user or group that may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ReaderId {
    User(u32),
    Group(u32),
}

/// An ACL: entries in the order that Linux requires, each with its permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Acl(Vec<(Tag, u16)>);

/// A problem with an ACL that must give access only to the agent and one reader, as `tbot init` sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AclProblem {
    /// Users other than the owner and the named users have permissions.
    #[error("it is accessible to other users")]
    OthersHaveAccess,
    /// A group has permissions.
    #[error("it is accessible to a group")]
    GroupHasAccess,
    /// Only the owner has permissions.
    #[error("its ACL names no user")]
    NoUser,
    /// More than two users have permissions.
    #[error("its ACL names more users than the agent and one reader")]
    TooManyUsers,
}

impl Acl {
    /// Returns the ACL of a file that its owner may read and write, the readers may read, and nobody else may access.
    pub(crate) fn for_file(readers: &BTreeSet<ReaderId>) -> Self {
        let owner = [(Tag::Owner, READ | WRITE), (Tag::OwningGroup, 0), (Tag::Others, 0)];
        Self::with_readers(owner.into(), readers, READ)
    }

    /// Returns the ACL of a file or directory that was prepared for an agent and a reader: see [`problem`](Self::problem).
    pub(crate) fn prepared(is_directory: bool, agent: Option<u32>, reader: Option<u32>) -> Self {
        let search = if is_directory { SEARCH } else { 0 };
        let all = READ | WRITE | search;
        let owner = [(Tag::Owner, all), (Tag::OwningGroup, 0), (Tag::Others, 0)];
        let ids = |user: Option<u32>| user.into_iter().map(ReaderId::User).collect();
        let acl = Self::with_readers(owner.into(), &ids(agent), all);
        Self::with_readers(acl.0, &ids(reader), READ | search)
    }

    /// Returns the ACL of a directory, or the equivalent of its mode if it has no ACL, extended so that the readers may
    /// list and enter the directory. Nobody else gets a permission that the mask withheld.
    pub(crate) fn for_directory(stat: &Stat, acl: Option<Self>, readers: &BTreeSet<ReaderId>) -> Self {
        let mode_bits = |shift: u32| u16::try_from(stat.st_mode >> shift & 7).unwrap_or(0);
        let from_mode = || {
            vec![(Tag::Owner, mode_bits(6)), (Tag::OwningGroup, mode_bits(3)), (Tag::Others, mode_bits(0))]
        };
        Self::with_readers(acl.map_or_else(from_mode, Self::unmasked), readers, READ | SEARCH)
    }

    /// Returns entries that give the same permissions without a mask.
    fn unmasked(mut self) -> Vec<(Tag, u16)> {
        let mask = self.0.iter().find(|(tag, _)| *tag == Tag::Mask).map(|(_, permissions)| *permissions);
        for (_, permissions) in self.0.iter_mut().filter(|(tag, _)| tag.is_masked()) {
            *permissions &= mask.unwrap_or(*permissions);
        }
        self.0
    }

    fn with_readers(mut entries: Vec<(Tag, u16)>, readers: &BTreeSet<ReaderId>, permissions: u16) -> Self {
        for reader in readers {
            let tag = match *reader {
                ReaderId::User(id) => Tag::User(id),
                ReaderId::Group(id) => Tag::Group(id),
            };
            entries.retain(|(other, _)| *other != tag);
            entries.push((tag, permissions));
        }
        entries.retain(|(tag, _)| *tag != Tag::Mask);
        let masked = entries.iter().filter(|(tag, _)| tag.is_masked());
        let mask = masked.fold(0, |mask, (_, permissions)| mask | permissions);
        entries.push((Tag::Mask, mask));
        entries.sort_unstable();
        Self(entries)
    }

    /// Checks the ACL of a file or directory that was prepared for the agent and one reader (`tbot init`): it may name
    /// two users, and must not give access to groups or others.
    pub(crate) fn problem(&self) -> Option<AclProblem> {
        let has_access =
            |expected: Tag| self.0.iter().any(|(tag, permissions)| *tag == expected && *permissions != 0);
        if has_access(Tag::Others) {
            return Some(AclProblem::OthersHaveAccess);
        }
        if has_access(Tag::OwningGroup) || self.0.iter().any(|(tag, _)| matches!(tag, Tag::Group(_))) {
            return Some(AclProblem::GroupHasAccess);
        }
        match self.0.iter().filter(|(tag, _)| matches!(tag, Tag::User(_))).count() {
            0 => Some(AclProblem::NoUser),
            1 | 2 => None,
            _ => Some(AclProblem::TooManyUsers),
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = VERSION.to_le_bytes().to_vec();
        for (tag, permissions) in &self.0 {
            let (tag, id): (u16, u32) = match *tag {
                Tag::Owner => (0x01, NO_ID),
                Tag::User(id) => (0x02, id),
                Tag::OwningGroup => (0x04, NO_ID),
                Tag::Group(id) => (0x08, id),
                Tag::Mask => (0x10, NO_ID),
                Tag::Others => (0x20, NO_ID),
            };
            bytes.extend(tag.to_le_bytes());
            bytes.extend(permissions.to_le_bytes());
            bytes.extend(id.to_le_bytes());
        }
        bytes
    }

    /// Returns `None` if the bytes are not an ACL of this version.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, entries) = bytes.split_first_chunk()?;
        if u32::from_le_bytes(*version) != VERSION || entries.len() % 8 != 0 {
            return None;
        }
        let entry = |entry: &[u8]| {
            let [tag, tag_high, permissions, permissions_high, id @ ..]: [u8; 8] = entry.try_into().ok()?;
            let id = u32::from_le_bytes(id);
            let tag = match u16::from_le_bytes([tag, tag_high]) {
                0x01 => Tag::Owner,
                0x02 => Tag::User(id),
                0x04 => Tag::OwningGroup,
                0x08 => Tag::Group(id),
                0x10 => Tag::Mask,
                0x20 => Tag::Others,
                _ => return None,
            };
            Some((tag, u16::from_le_bytes([permissions, permissions_high])))
        };
        entries.chunks_exact(8).map(entry).collect::<Option<_>>().map(Self)
    }

    /// Returns the ACL of an open file or directory, or `None` if it has only a mode or its file system has no ACLs.
    pub(crate) fn read(file: impl AsFd) -> Result<Option<Self>, Errno> {
        match xattr::read(file) {
            Ok(bytes) => Self::decode(&bytes).map(Some).ok_or(Errno::INVAL),
            Err(Errno::NODATA | Errno::NOTSUP) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets the ACL of an open file or directory, which also sets the corresponding mode.
    pub(crate) fn write(&self, file: &OwnedFd) -> Result<(), Errno> {
        xattr::write(file, &self.encode())
    }

    /// Sets the ACL that new files in a directory inherit.
    #[cfg(test)]
    pub(crate) fn write_default(&self, directory: &OwnedFd) -> Result<(), Errno> {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::fsetxattr(directory, "system.posix_acl_default", &self.encode(), flags)
    }

    /// Removes the ACL of a file or directory. Then its mode alone decides who has access. A new one has an ACL if its directory has a
    /// default ACL, and a `chmod` of the group bits would raise the mask of that ACL.
    pub(crate) fn remove(file: &OwnedFd) -> Result<(), Errno> {
        match xattr::remove(file) {
            Err(error) if Self::read(file).is_ok_and(|acl| acl.is_some()) => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(target_os = "linux")]
mod xattr {
    use std::os::fd::{AsFd, OwnedFd};

    use rustix::fs::XattrFlags;
    use rustix::io::Errno;

    const NAME: &str = "system.posix_acl_access";
    /// The largest attribute that Linux allows.
    const MAX_LEN: usize = 64 << 10;

    pub(super) fn read(file: impl AsFd) -> Result<Vec<u8>, Errno> {
        // Large enough for nearly every ACL; most files have none.
        let mut bytes = vec![0; 256];
        loop {
            match rustix::fs::fgetxattr(&file, NAME, &mut bytes[..]) {
                Ok(length) => {
                    bytes.truncate(length);
                    return Ok(bytes);
                }
                Err(Errno::RANGE) if bytes.len() < MAX_LEN => bytes.resize(MAX_LEN, 0),
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn write(file: &OwnedFd, acl: &[u8]) -> Result<(), Errno> {
        rustix::fs::fsetxattr(file, NAME, acl, XattrFlags::empty())
    }

    pub(super) fn remove(file: &OwnedFd) -> Result<(), Errno> {
        rustix::fs::fremovexattr(file, NAME)
    }
}

#[cfg(not(target_os = "linux"))]
mod xattr {
    use std::os::fd::{AsFd, OwnedFd};

    use rustix::io::Errno;

    pub(super) fn read(_: impl AsFd) -> Result<Vec<u8>, Errno> {
        Err(Errno::NOTSUP)
    }

    pub(super) fn write(_: &OwnedFd, _: &[u8]) -> Result<(), Errno> {
        Err(Errno::NOTSUP)
    }

    pub(super) fn remove(_: &OwnedFd) -> Result<(), Errno> {
        Err(Errno::NOTSUP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `user::rw-, user:1:r--, group::---, mask::r--, other::---`.
    const ONE_READER: [u8; 44] = [
        2, 0, 0, 0, //
        1, 0, 6, 0, 255, 255, 255, 255, //
        2, 0, 4, 0, 1, 0, 0, 0, //
        4, 0, 0, 0, 255, 255, 255, 255, //
        16, 0, 4, 0, 255, 255, 255, 255, //
        32, 0, 0, 0, 255, 255, 255, 255,
    ];

    fn acl(readers: &[ReaderId]) -> Acl {
        Acl::for_file(&readers.iter().copied().collect())
    }

    #[test]
    fn entries_are_encoded_in_the_order_that_linux_requires() {
        assert_eq!(acl(&[ReaderId::User(1)]).encode(), ONE_READER);
        let many = acl(&[ReaderId::Group(7), ReaderId::User(9), ReaderId::User(1)]);
        let tags: Vec<Tag> = many.0.iter().map(|(tag, _)| *tag).collect();
        use Tag::{Group, Mask, Others, Owner, OwningGroup, User};
        assert_eq!(tags, [Owner, User(1), User(9), OwningGroup, Group(7), Mask, Others]);
        assert_eq!(Acl::decode(&many.encode()), Some(many));
    }

    #[test]
    fn malformed_acls_are_refused() {
        for bytes in [&b""[..], &ONE_READER[..43], &[3, 0, 0, 0], &[2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]] {
            assert_eq!(Acl::decode(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn a_directory_keeps_its_entries() {
        let root = tempfile::tempdir().unwrap();
        let directory: OwnedFd = std::fs::File::open(root.path()).unwrap().into();
        let mut stat = rustix::fs::fstat(&directory).unwrap();
        stat.st_mode = 0o40750;
        let first = Acl::for_directory(&stat, None, &[ReaderId::User(1)].into());
        let both = Acl::for_directory(&stat, Some(first), &[ReaderId::Group(2)].into());
        use Tag::{Group, Mask, Others, Owner, OwningGroup, User};
        let expected = [(Owner, 7), (User(1), 5), (OwningGroup, 5), (Group(2), 5), (Mask, 5), (Others, 0)];
        assert_eq!(both.0, expected);
    }

    #[test]
    fn a_new_reader_of_a_directory_does_not_lift_the_mask_of_other_entries() {
        let root = tempfile::tempdir().unwrap();
        let stat = rustix::fs::fstat(std::fs::File::open(root.path()).unwrap()).unwrap();
        use Tag::{Mask, Others, Owner, OwningGroup, User};
        // As inherited from the default ACL of a parent, with the mode 0700.
        let inherited = Acl(vec![(Owner, 7), (User(1), 7), (OwningGroup, 5), (Mask, 0), (Others, 0)]);
        let extended = Acl::for_directory(&stat, Some(inherited), &[ReaderId::User(2)].into());
        let expected = [(Owner, 7), (User(1), 0), (User(2), 5), (OwningGroup, 0), (Mask, 5), (Others, 0)];
        assert_eq!(extended.0, expected);
    }

    #[test]
    fn a_prepared_acl_may_name_the_agent_and_one_reader() {
        use ReaderId::{Group, User};
        for (readers, problem) in [
            (&[User(1)][..], None),
            (&[User(1), User(2)], None),
            (&[], Some(AclProblem::NoUser)),
            (&[User(1), User(2), User(3)], Some(AclProblem::TooManyUsers)),
            (&[User(1), Group(2)], Some(AclProblem::GroupHasAccess)),
        ] {
            assert_eq!(acl(readers).problem(), problem, "{readers:?}");
        }
        let open = Acl::decode(&[2, 0, 0, 0, 32, 0, 4, 0, 255, 255, 255, 255]).unwrap();
        assert_eq!(open.problem(), Some(AclProblem::OthersHaveAccess));
    }
}
