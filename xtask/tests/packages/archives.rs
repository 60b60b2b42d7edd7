//! Checks that the same programs give the same files, and that archives are complete.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use xtask_launcher::root;

use crate::{PROGRAMS, dist, files_ending_with, run};

#[test]
#[ignore = "needs cargo-deb and dpkg"]
fn the_same_programs_give_the_same_files() {
    let directory = tempfile::tempdir().unwrap();
    for program in PROGRAMS {
        fs::copy("/bin/true", directory.path().join(program)).unwrap();
    }
    let first = dist(directory.path(), |_| {});
    // Neither the time zone, nor the permissions of new files, nor the age of the programs is in a file.
    for program in PROGRAMS {
        run(Command::new("touch").args(["-d", "2020-01-01"]).arg(directory.path().join(program)));
        fs::set_permissions(directory.path().join(program), fs::Permissions::from_mode(0o700)).unwrap();
    }
    let second = dist(directory.path(), |command| {
        command.env("TZ", "Asia/Tokyo").env("LC_ALL", "C").env("TMPDIR", first.path());
    });
    let checksums = |output: &TempDir| fs::read_to_string(output.path().join("SHA256SUMS")).unwrap();
    assert_eq!(checksums(&first), checksums(&second));
    assert_eq!(checksums(&first).lines().count(), 6);
    run(Command::new("sha256sum").current_dir(&first).args(["--quiet", "--check", "SHA256SUMS"]));
    assert_archives(first.path());
    assert_unpacked(first.path());
    assert_maintainer(first.path(), "Unpublished build <root@localhost>");
    let published = dist(directory.path(), |command| {
        command.args(["--maintainer", "Jo Doe <jo@example.com>"]);
    });
    assert_maintainer(published.path(), "Jo Doe <jo@example.com>");
}

fn assert_maintainer(output: &Path, expected: &str) {
    for package in files_ending_with(output, ".deb") {
        let maintainer = run(Command::new("dpkg-deb").arg("--field").arg(package).arg("Maintainer"));
        assert_eq!(maintainer.trim(), expected);
    }
}

/// Unpacks the archive of the agent with the command of docs/how-to/packages.md in a directory like /usr/local of Debian.
fn assert_unpacked(output: &Path) {
    let page = fs::read_to_string(root().unwrap().join("docs/how-to/packages.md")).unwrap();
    let (_, command) = page.split_once("sudo tar ").unwrap();
    let (command, _) = command.split_once("\n```").unwrap();
    let local = tempfile::tempdir().unwrap();
    let path = |path: &str| local.path().join(path);
    for directory in ["bin", "man", "share"] {
        fs::create_dir(path(directory)).unwrap();
        fs::set_permissions(path(directory), fs::Permissions::from_mode(0o2775)).unwrap();
    }
    symlink("../man", path("share/man")).unwrap();
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let command = command
        .replace("x86_64-unknown-linux-gnu", &platform)
        .replace("/usr/local", local.path().to_str().unwrap());
    run(Command::new("tar").current_dir(output).args(command.replace('\\', " ").split_whitespace()));
    // Directories that existed before keep their permissions.
    for directory in ["bin", "man", "share"] {
        assert_eq!(
            fs::symlink_metadata(path(directory)).unwrap().permissions().mode() & 0o7777,
            0o2775,
            "{directory}"
        );
    }
    assert!(fs::symlink_metadata(path("share/man")).unwrap().is_symlink());
    for file in ["bin/tbot", "man/man1/tbot.1.gz", "share/zsh/site-functions/_tbot"] {
        assert!(path(file).is_file(), "{file}");
    }
    assert!(!path("LICENSE").exists() && !path("sbom.cdx.json").exists());
}

/// Checks that archives belong to root, and have what the packages install, except units, which contain the paths of packages.
fn assert_archives(output: &Path) {
    for program in PROGRAMS {
        let [archive] = &files_ending_with(output, ".tar.gz")
            .into_iter()
            .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(program))
            .collect::<Vec<_>>()[..]
        else {
            panic!("not one archive of {program}")
        };
        let mut list = Command::new("tar");
        list.args(["--list", "--verbose", "--numeric-owner", "--file"]).arg(archive);
        let listed = run(&mut list);
        let is_of_root = |line: &str| line.split_whitespace().nth(1) == Some("0/0");
        assert!(listed.lines().all(is_of_root), "{listed}");
        let manual = format!("share/man/man1/{program}.1.gz");
        let completion = format!("share/bash-completion/completions/{program}");
        for file in ["LICENSE", "sbom.cdx.json", &format!("bin/{program}"), &manual, &completion] {
            assert!(listed.lines().any(|line| line.ends_with(&format!("/{file}"))), "{file}: {listed}");
        }
        assert!(!listed.contains(".service"), "{listed}");
    }
}
