//! Finds the process that holds a `flock(2)` lock, for messages.
//!
//! Linux lists locks in `/proc/locks`. Without it, or if the process is in another container, the holder is unknown.

use std::fmt;
use std::os::fd::OwnedFd;
use std::path::Path;

use crate::agent::platform::regular_file;

/// More than the list of locks, and much more than a process name.
const LIMIT: u64 = 4 << 20;

/// A process that holds a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockHolder {
    /// The process id.
    pub process_id: u32,
    /// The name of the process, without characters that do not belong in a log line. Empty if it is unknown.
    pub name: String,
}

impl fmt::Display for LockHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.process_id)?;
        if self.name.is_empty() { Ok(()) } else { write!(f, " ({})", self.name) }
    }
}

/// Returns the process that holds a lock on `file`, if it can be determined.
pub(super) fn find(file: &OwnedFd) -> Option<LockHolder> {
    let stat = rustix::fs::fstat(file).ok()?;
    let device = (rustix::fs::major(stat.st_dev), rustix::fs::minor(stat.st_dev));
    let locks = read(Path::new("/proc/locks"))?;
    let process_id = locks.lines().find_map(|lock| process_id(lock, device, stat.st_ino))?;
    let name = read(&Path::new("/proc").join(process_id.to_string()).join("comm")).unwrap_or_default();
    let name = name.chars().filter(|character| matches!(character, '!'..='~')).collect();
    Some(LockHolder { process_id, name })
}

fn read(path: &Path) -> Option<String> {
    String::from_utf8(regular_file::read(path, LIMIT).ok()?).ok()
}

/// Returns the process of a line in `/proc/locks`, such as `1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF`, if it
/// holds a lock on this file. Lines with `->` are of processes that wait.
fn process_id(line: &str, device: (u32, u32), inode: u64) -> Option<u32> {
    let mut words = line.split_whitespace().skip(1);
    if words.next()? != "FLOCK" {
        return None;
    }
    let (process_id, file) = (words.nth(2)?, words.next()?);
    let (major, rest) = file.split_once(':')?;
    let (minor, number) = rest.split_once(':')?;
    let hexadecimal = |digits| u32::from_str_radix(digits, 16).ok();
    let is_same_file = (hexadecimal(major)?, hexadecimal(minor)?) == device && number.parse() == Ok(inode);
    // The id is 0 if the process is in another container.
    process_id.parse().ok().filter(|id| is_same_file && *id != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_is_found_in_the_list_of_locks() {
        let locks = "\
1: POSIX  ADVISORY  WRITE 11 fe:00:42 0 EOF
2: FLOCK  ADVISORY  WRITE 12 fe:01:42 0 EOF
3: -> FLOCK  ADVISORY  WRITE 13 fe:00:42 0 EOF
4: FLOCK  ADVISORY  WRITE 14 fe:00:42 0 EOF
5: FLOCK  ADVISORY  WRITE 0 fe:00:43 0 EOF
damaged
6: FLOCK";
        let find = |inode| locks.lines().find_map(|line| process_id(line, (0xfe, 0), inode));
        assert_eq!(find(42), Some(14));
        assert_eq!(find(43), None);
        assert_eq!(find(44), None);
    }
}
