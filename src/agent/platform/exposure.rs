//! Finds out whether every user can read or change a file that only the agent needs.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{Mode, StatVfsMountFlags};

/// The access that every user has to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exposure {
    Readable,
    Changeable,
}

/// The properties of a mounted file system that decide who can reach a file.
#[derive(Clone, Copy)]
struct MountProperties {
    is_read_only: bool,
    is_in_memory: bool,
}

impl Exposure {
    /// Returns `None` if other users can neither read nor change the file. Groups do not count: an administrator gives a
    /// group access on purpose.
    ///
    /// Secrets that systemd, Kubernetes, Docker, Podman or Vault mount may have the mode 0444 or 0644, and are visible
    /// only in the service or container that they are mounted for. They are on file systems that are read-only or in
    /// memory, so the mode of a file there says nothing about its readers.
    pub(crate) fn of(file: &File) -> io::Result<Option<Self>> {
        let mode = Mode::from_raw_mode(rustix::fs::fstat(file)?.st_mode);
        let flags = rustix::fs::fstatvfs(file)?.f_flag;
        let mount = MountProperties {
            is_read_only: flags.contains(StatVfsMountFlags::RDONLY),
            is_in_memory: is_in_memory(file)?,
        };
        Ok(Self::of_mode(mode, mount))
    }

    /// Returns a warning about this access to the file `path`, which contains `what`.
    pub(crate) fn warning(self, what: &str, path: &Path) -> String {
        let (ability, permissions) = match self {
            Self::Readable => ("read", "o-r"),
            Self::Changeable => ("change", "o-rw"),
        };
        let path = path.display();
        format!("every user can {ability} the {what} in {path}: remove that permission (chmod {permissions})")
    }

    fn of_mode(mode: Mode, mount: MountProperties) -> Option<Self> {
        if mount.is_read_only {
            None
        } else if mode.contains(Mode::WOTH) {
            Some(Self::Changeable)
        } else {
            (mode.contains(Mode::ROTH) && !mount.is_in_memory).then_some(Self::Readable)
        }
    }
}

#[cfg(target_os = "linux")]
fn is_in_memory(file: &File) -> io::Result<bool> {
    /// `TMPFS_MAGIC` of `linux/magic.h`.
    const TMPFS: rustix::fs::FsWord = 0x0102_1994;
    Ok(rustix::fs::fstatfs(file)?.f_type == TMPFS)
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "the signature is that of the function for Linux")]
fn is_in_memory(_: &File) -> io::Result<bool> {
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_that_only_their_service_can_see_are_not_exposed() {
        const DISK: MountProperties = MountProperties { is_read_only: false, is_in_memory: false };
        const MEMORY: MountProperties = MountProperties { is_in_memory: true, ..DISK };
        const READ_ONLY: MountProperties = MountProperties { is_read_only: true, ..DISK };
        for (mode, mount, expected) in [
            (0o600, DISK, None),
            (0o640, DISK, None),
            (0o660, DISK, None),
            (0o644, DISK, Some(Exposure::Readable)),
            (0o604, DISK, Some(Exposure::Readable)),
            (0o666, DISK, Some(Exposure::Changeable)),
            (0o602, DISK, Some(Exposure::Changeable)),
            (0o644, MEMORY, None),
            (0o666, MEMORY, Some(Exposure::Changeable)),
            (0o440, READ_ONLY, None),
            (0o444, READ_ONLY, None),
            (0o666, READ_ONLY, None),
        ] {
            let mode_bits = Mode::from_raw_mode(mode);
            assert_eq!(Exposure::of_mode(mode_bits, mount), expected, "{mode:o}");
        }
    }

    #[test]
    fn the_mode_of_an_open_file_is_read() {
        use std::os::unix::fs::PermissionsExt as _;
        let file = tempfile::tempfile().unwrap();
        for (mode, expected) in [(0o600, None), (0o606, Some(Exposure::Changeable))] {
            file.set_permissions(std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(Exposure::of(&file).unwrap(), expected);
        }
    }
}
