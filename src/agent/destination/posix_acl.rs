//! POSIX access control lists, as Linux keeps them beside a file (`system.posix_acl_access`): read, written, encoded.
//! One I/O edge, on files that are open already.
//!
//! The form is stable: a version of 4 bytes, which is 2, then 8 bytes an entry: tag, permissions, id; little endian.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

use rustix::fs::Stat;
use rustix::io::Errno;

const VERSION: u32 = 2;
/// The id of an entry that needs none.
const NO_ID: u32 = u32::MAX;
const READ: u16 = 4;
const WRITE: u16 = 2;
const SEARCH: u16 = 1;

/// Whom an entry is about. The order is that in which Linux wants the entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Owner,
    User(u32),
    OwningGroup,
    Group(u32),
    /// The most that users, groups and the owning group may do.
    Mask,
    Others,
}

/// A user or a group that may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ReaderId {
    User(u32),
    Group(u32),
}

/// Entries in the order that Linux wants, each with its permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccessList(Vec<(Who, u16)>);

impl AccessList {
    /// For a file: its owner reads and writes, the readers read, nobody else does anything.
    pub(crate) fn of_file(readers: &BTreeSet<ReaderId>) -> Self {
        let owner = [(Who::Owner, READ | WRITE), (Who::OwningGroup, 0), (Who::Others, 0)];
        Self::sorted(owner.into(), readers, READ)
    }

    /// For a folder: what it has, and the readers may list and enter it.
    pub(crate) fn of_folder(stat: &Stat, list: Option<Self>, readers: &BTreeSet<ReaderId>) -> Self {
        let bits = |shift: u32| u16::try_from(stat.st_mode >> shift & 7).unwrap_or(0);
        let of_mode = || vec![(Who::Owner, bits(6)), (Who::OwningGroup, bits(3)), (Who::Others, bits(0))];
        Self::sorted(list.map_or_else(of_mode, |list| list.0), readers, READ | SEARCH)
    }

    fn sorted(mut entries: Vec<(Who, u16)>, readers: &BTreeSet<ReaderId>, may: u16) -> Self {
        for reader in readers {
            let who = match *reader {
                ReaderId::User(id) => Who::User(id),
                ReaderId::Group(id) => Who::Group(id),
            };
            entries.retain(|(other, _)| *other != who);
            entries.push((who, may));
        }
        entries.retain(|(who, _)| *who != Who::Mask);
        let masked = |who: &Who| matches!(who, Who::User(_) | Who::Group(_) | Who::OwningGroup);
        let mask = entries.iter().filter(|(who, _)| masked(who)).fold(0, |mask, (_, may)| mask | may);
        entries.push((Who::Mask, mask));
        entries.sort_unstable();
        Self(entries)
    }

    /// What is wrong with the list of something that somebody prepared for the agent and one reader (`tbot init`): it
    /// may name two users, and give nothing to groups and others.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        let may = |of: Who| self.0.iter().any(|(who, may)| *who == of && *may != 0);
        if may(Who::Others) {
            return Some("others than its users may use it");
        }
        if may(Who::OwningGroup) || self.0.iter().any(|(who, _)| matches!(who, Who::Group(_))) {
            return Some("a group may use it");
        }
        match self.0.iter().filter(|(who, _)| matches!(who, Who::User(_))).count() {
            0 => Some("its access list names no user"),
            1 | 2 => None,
            _ => Some("its access list names more users than the agent and one reader"),
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = VERSION.to_le_bytes().to_vec();
        for (who, may) in &self.0 {
            let (tag, id): (u16, u32) = match *who {
                Who::Owner => (0x01, NO_ID),
                Who::User(id) => (0x02, id),
                Who::OwningGroup => (0x04, NO_ID),
                Who::Group(id) => (0x08, id),
                Who::Mask => (0x10, NO_ID),
                Who::Others => (0x20, NO_ID),
            };
            bytes.extend(tag.to_le_bytes());
            bytes.extend(may.to_le_bytes());
            bytes.extend(id.to_le_bytes());
        }
        bytes
    }

    /// `None` for what is no list of this version.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, entries) = bytes.split_first_chunk()?;
        if u32::from_le_bytes(*version) != VERSION || entries.len() % 8 != 0 {
            return None;
        }
        let entry = |entry: &[u8]| {
            let [tag, tag_high, may, may_high, id @ ..]: [u8; 8] = entry.try_into().ok()?;
            let id = u32::from_le_bytes(id);
            let who = match u16::from_le_bytes([tag, tag_high]) {
                0x01 => Who::Owner,
                0x02 => Who::User(id),
                0x04 => Who::OwningGroup,
                0x08 => Who::Group(id),
                0x10 => Who::Mask,
                0x20 => Who::Others,
                _ => return None,
            };
            Some((who, u16::from_le_bytes([may, may_high])))
        };
        entries.chunks_exact(8).map(entry).collect::<Option<_>>().map(Self)
    }

    /// The list of an open file or folder; none where it has only a mode, or its file system knows no lists.
    pub(crate) fn read(file: &OwnedFd) -> Result<Option<Self>, Errno> {
        match attribute::read(file) {
            Ok(bytes) => Self::decode(&bytes).map(Some).ok_or(Errno::INVAL),
            Err(Errno::NODATA | Errno::NOTSUP) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives an open file or folder this list, and with it the mode that follows from it.
    pub(crate) fn write(&self, file: &OwnedFd) -> Result<(), Errno> {
        attribute::write(file, &self.encode())
    }
}

#[cfg(target_os = "linux")]
mod attribute {
    use std::os::fd::OwnedFd;

    use rustix::fs::XattrFlags;
    use rustix::io::Errno;

    const NAME: &str = "system.posix_acl_access";
    /// The most that Linux lets an attribute be.
    const LARGEST: usize = 64 << 10;

    pub(super) fn read(file: &OwnedFd) -> Result<Vec<u8>, Errno> {
        // Nearly every list fits into this; whether there is one at all is asked most often.
        let mut bytes = vec![0; 256];
        loop {
            match rustix::fs::fgetxattr(file, NAME, &mut bytes[..]) {
                Ok(length) => {
                    bytes.truncate(length);
                    return Ok(bytes);
                }
                Err(Errno::RANGE) if bytes.len() < LARGEST => bytes.resize(LARGEST, 0),
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn write(file: &OwnedFd, list: &[u8]) -> Result<(), Errno> {
        rustix::fs::fsetxattr(file, NAME, list, XattrFlags::empty())
    }
}

#[cfg(not(target_os = "linux"))]
mod attribute {
    use std::os::fd::OwnedFd;

    use rustix::io::Errno;

    pub(super) fn read(_: &OwnedFd) -> Result<Vec<u8>, Errno> {
        Err(Errno::NOTSUP)
    }

    pub(super) fn write(_: &OwnedFd, _: &[u8]) -> Result<(), Errno> {
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

    fn list(readers: &[ReaderId]) -> AccessList {
        AccessList::of_file(&readers.iter().copied().collect())
    }

    #[test]
    fn a_list_is_what_linux_wants_in_the_order_it_wants() {
        assert_eq!(list(&[ReaderId::User(1)]).encode(), ONE_READER);
        let many = list(&[ReaderId::Group(7), ReaderId::User(9), ReaderId::User(1)]);
        let who: Vec<Who> = many.0.iter().map(|(who, _)| *who).collect();
        use Who::{Group, Mask, Others, Owner, OwningGroup, User};
        assert_eq!(who, [Owner, User(1), User(9), OwningGroup, Group(7), Mask, Others]);
        assert_eq!(AccessList::decode(&many.encode()), Some(many));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for bytes in [&b""[..], &ONE_READER[..43], &[3, 0, 0, 0], &[2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]] {
            assert_eq!(AccessList::decode(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn a_folder_keeps_what_it_has() {
        let root = tempfile::tempdir().unwrap();
        let folder: OwnedFd = std::fs::File::open(root.path()).unwrap().into();
        let mut stat = rustix::fs::fstat(&folder).unwrap();
        stat.st_mode = 0o40750;
        let first = AccessList::of_folder(&stat, None, &[ReaderId::User(1)].into());
        let both = AccessList::of_folder(&stat, Some(first), &[ReaderId::Group(2)].into());
        use Who::{Group, Mask, Others, Owner, OwningGroup, User};
        let expected = [(Owner, 7), (User(1), 5), (OwningGroup, 5), (Group(2), 5), (Mask, 5), (Others, 0)];
        assert_eq!(both.0, expected);
    }

    #[test]
    fn a_prepared_list_may_name_the_agent_and_one_reader() {
        use ReaderId::{Group, User};
        assert_eq!(list(&[User(1)]).problem(), None);
        assert_eq!(list(&[User(1), User(2)]).problem(), None);
        for wrong in [list(&[]), list(&[User(1), User(2), User(3)]), list(&[User(1), Group(2)])] {
            assert!(wrong.problem().is_some(), "{wrong:?}");
        }
        let open = AccessList::decode(&[2, 0, 0, 0, 32, 0, 4, 0, 255, 255, 255, 255]).unwrap();
        assert_eq!(open.problem(), Some("others than its users may use it"));
    }
}
