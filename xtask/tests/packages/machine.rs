//! A directory in which dpkg installs packages.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::{PROGRAMS, run};

/// Returns the packages that dpkg considers installed already: the dependencies.
fn status(architecture: &str) -> String {
    let packages = [("libc6", "2.36"), ("ca-certificates", "1"), ("systemd", "252")];
    let entries = packages.map(|(package, version)| {
        format!(
            "Package: {package}\nStatus: install ok installed\nVersion: {version}\n\
             Architecture: {architecture}\nMaintainer: -\nDescription: -\n\n"
        )
    });
    entries.concat()
}

/// A directory that packages are installed in, as if it were `/`.
pub(crate) struct Machine(pub(crate) TempDir);

impl Machine {
    pub(crate) fn new(architecture: &str) -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        // Otherwise, no other user could enter it.
        fs::set_permissions(machine.0.path(), fs::Permissions::from_mode(0o755)).unwrap();
        machine.write("var/lib/dpkg/arch", &format!("amd64\n{architecture}\n"));
        machine.write("var/lib/dpkg/status", &status(architecture));
        for directory in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "etc", "tmp"] {
            fs::create_dir_all(machine.path(directory)).unwrap();
        }
        // The scripts of the packages run outside of the directory. This keeps them from stopping services of this machine.
        machine.write("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n");
        let policy = machine.path("usr/sbin/policy-rc.d");
        fs::set_permissions(policy, fs::Permissions::from_mode(0o755)).unwrap();
        machine
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    pub(crate) fn dpkg(&self, action: &str, arguments: &[PathBuf]) {
        let root = format!("--root={}", self.0.path().display());
        let options = ["--force-script-chrootless", "--log=/dev/null", action];
        run(Command::new("dpkg").arg(root).args(options).args(arguments));
    }

    pub(crate) fn remove(&self, action: &str) {
        self.dpkg(action, &PROGRAMS.map(PathBuf::from));
    }

    /// Copies a file of this machine, with its permissions.
    pub(crate) fn copy(&self, from: &Path, to: &str) {
        let to = self.path(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }

    /// Copies the libraries that an installed program needs.
    pub(crate) fn add_libraries(&self, program: &str) {
        let listed = run(Command::new("ldd").arg(self.path(program)));
        for path in listed.split_whitespace().filter(|word| word.starts_with('/')) {
            self.copy(Path::new(path), path.trim_start_matches('/'));
        }
    }

    /// Returns a command that runs an installed program as a user without privileges, who sees only this directory.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("chroot");
        command.arg("--userspec=65532:65532").arg(self.0.path()).arg(program);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/bin");
        command
    }
}
