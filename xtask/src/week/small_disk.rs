//! A file system of limited size, in memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// The name of the file that takes up the space.
const BALLAST: &str = "ballast";

/// A file system that is mounted until it is dropped.
pub(super) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts a file system of `size`, such as `1m`, in a new directory.
    ///
    /// # Errors
    ///
    /// Returns an error if this process is not permitted to mount it.
    pub(super) fn mount(path: PathBuf, size: &str) -> Result<Self> {
        fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let options = format!("size={size},mode=700");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&path);
        if !mount.status().context("cannot run mount")?.success() {
            bail!("cannot mount a file system; this needs root");
        }
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Takes up all space.
    ///
    /// # Errors
    ///
    /// Returns an error if the disk does not fill up.
    pub(super) fn fill(&self) -> Result<()> {
        match fs::write(self.0.join(BALLAST), vec![0; 16 << 20]) {
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => Ok(()),
            result => bail!("the disk did not fill up: {result:?}"),
        }
    }

    /// Frees the space.
    ///
    /// # Errors
    ///
    /// Returns an error if the disk has not been filled.
    pub(super) fn free(&self) -> Result<()> {
        fs::remove_file(self.0.join(BALLAST)).context("the disk has not been filled")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
