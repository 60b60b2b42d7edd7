//! Directories that were tampered with, and full disks: the agent reports an error, writes nothing elsewhere, and leaves the
//! files of the last run intact.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use serde_json::json;
use tbot::agent::{AgentError, DirectoryError, Obstacle};
use tbot_cluster::method;

use super::errors::{directory_error, failed_outputs};
use super::fixture::{BOT, TestCluster, read};

fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).unwrap().next().is_none()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_replaced_by_a_symlink_is_refused_and_nothing_is_written_behind_it() {
    let fixture = TestCluster::new().await;
    let config = || fixture.config("20m", &[fixture.output("up/out")]);
    fixture.run_oneshot(config()).await.unwrap();
    let written = read(&fixture.path("up/out/identity"));
    let elsewhere = fixture.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::rename(fixture.path("up"), fixture.path("moved")).unwrap();
    symlink(&elsewhere, fixture.path("up")).unwrap();

    let error = directory_error(fixture.run_oneshot(config()).await.unwrap_err());
    let DirectoryError::Io { path, error, .. } = &error else { panic!("{error:?}") };
    assert!(*path == fixture.path("up/out") && is_symlink_refusal(error), "{path:?}: {error:?}");
    assert!(is_empty(&elsewhere), "not even a directory was created");
    assert_eq!(read(&fixture.path("moved/out/identity")), written);
}

#[tokio::test(flavor = "multi_thread")]
async fn symlinks_with_the_names_of_an_outputs_files_are_refused_and_not_followed() {
    for planted in ["identity", "..data", ".write-test", ".tbot-lock"] {
        let fixture = TestCluster::new().await;
        let [out, target] = ["out", "target"].map(|name| fixture.path(name));
        fs::create_dir(&out).unwrap();
        fs::write(&target, "unchanged").unwrap();
        symlink(&target, out.join(planted)).unwrap();
        let config = fixture.config("20m", &[fixture.output("out")]);
        let error = directory_error(fixture.run_oneshot(config).await.unwrap_err());
        assert_eq!(refused_symlink(&error), out.join(planted), "{error:?}");
        assert_eq!(read(&target), "unchanged");
        assert!(!out.join("key").exists(), "a file of the set was written");
    }
}

/// Whether the system call failed because it did not follow a symbolic link.
fn is_symlink_refusal(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::LOOP)
}

/// Returns the path of the symbolic link that the agent refused. Fails the test if the error is a different one.
fn refused_symlink(error: &DirectoryError) -> &Path {
    match error {
        DirectoryError::Io { path, error, .. } if is_symlink_refusal(error) => path,
        DirectoryError::Obstructed { path, .. } => path,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn symlinks_with_the_names_of_temporary_files_are_not_followed() {
    let fixture = TestCluster::new().await;
    let [out, elsewhere] = ["out", "elsewhere"].map(|name| fixture.path(name));
    fs::create_dir(&out).unwrap();
    fs::create_dir(&elsewhere).unwrap();
    for planted in ["..1", "..2", "..data_tmp", "..link_tmp", "..replaced_tmp"] {
        symlink(&elsewhere, out.join(planted)).unwrap();
    }
    fixture.run_oneshot(fixture.config("20m", &[fixture.output("out")])).await.unwrap();
    assert!(is_empty(&elsewhere));
    assert!(read(&out.join("identity")).starts_with(&read(&out.join("key"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_symlink_in_the_storage_is_refused_before_the_agent_joins() {
    let fixture = TestCluster::new().await;
    let target = fixture.path("target");
    fs::create_dir(fixture.storage()).unwrap();
    fs::write(&target, "unchanged").unwrap();
    symlink(&target, fixture.storage().join("key")).unwrap();
    let error = directory_error(fixture.run_oneshot(fixture.config("20m", &[])).await.unwrap_err());
    assert_eq!(refused_symlink(&error), fixture.storage().join("key"), "{error:?}");
    assert_eq!(read(&target), "unchanged");
    assert_eq!(fixture.call_count(method::JOIN), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unwritable_directory_keeps_its_files_and_does_not_stop_other_outputs() {
    let fixture = TestCluster::new().await;
    let config = || fixture.config("20m", &[fixture.output("out"), fixture.output("other")]);
    fixture.run_oneshot(config()).await.unwrap();
    let [out, other] = ["out", "other"].map(|name| fixture.path(name));
    let [written, other_written] = [&out, &other].map(|directory| read(&directory.join("identity")));

    // A directory cannot be opened for writing, not even by root.
    let write_test = out.join(".write-test");
    fs::remove_file(&write_test).unwrap();
    fs::create_dir(&write_test).unwrap();
    let error = fixture.run_oneshot(config()).await.unwrap_err();
    assert_eq!(failed_outputs(&error), ["identity-1"]);
    let error = directory_error(error);
    let expected = Obstacle::Directory;
    assert!(
        matches!(&error, DirectoryError::Obstructed { path, obstacle } if *path == write_test && *obstacle == expected),
        "{error:?}"
    );
    assert_eq!(read(&out.join("identity")), written);
    assert_ne!(read(&other.join("identity")), other_written);
}

/// Run as root: `cargo test --package tbot --test integration -- --ignored needs_root`.
mod needs_root {
    use std::process::Command;

    use super::*;

    /// A directory in which not even root can change anything, until dropped.
    struct ImmutableDirectory<'a>(&'a Path);

    impl<'a> ImmutableDirectory<'a> {
        fn new(path: &'a Path) -> Self {
            let status = Command::new("chattr").arg("+i").arg(path).status().unwrap();
            assert!(status.success(), "chattr +i needs root and a file system that supports it");
            Self(path)
        }
    }

    impl Drop for ImmutableDirectory<'_> {
        fn drop(&mut self) {
            let _ = Command::new("chattr").arg("-i").arg(self.0).status();
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs root: makes a directory immutable with chattr"]
    async fn an_immutable_directory_keeps_its_files_and_does_not_stop_other_outputs() {
        let fixture = TestCluster::new().await;
        let config = || fixture.config("20m", &[fixture.output("out"), fixture.output("other")]);
        fixture.run_oneshot(config()).await.unwrap();
        let [out, other] = ["out", "other"].map(|name| fixture.path(name));
        let [written, other_written] = [&out, &other].map(|directory| read(&directory.join("identity")));

        let immutable = ImmutableDirectory::new(&out);
        let error = fixture.run_oneshot(config()).await.unwrap_err();
        drop(immutable);
        assert_eq!(failed_outputs(&error), ["identity-1"]);
        let DirectoryError::Io { error, .. } = directory_error(error) else {
            panic!("not a system call's error")
        };
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert_eq!(read(&out.join("identity")), written);
        assert_ne!(read(&other.join("identity")), other_written);
        fixture.run_oneshot(config()).await.unwrap();
    }

    /// A file system of 256 KiB, mounted until dropped.
    struct SmallDisk(PathBuf);

    impl SmallDisk {
        fn mount(path: PathBuf) -> Self {
            fs::create_dir(&path).unwrap();
            let status = Command::new("mount")
                .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
                .arg(&path)
                .status()
                .unwrap();
            assert!(status.success(), "mount needs root");
            Self(path)
        }

        /// Fills the disk except for `free` bytes, and returns the file that takes up the space.
        fn fill(&self, free: u64) -> PathBuf {
            let ballast = self.0.join("ballast");
            fs::write(&ballast, vec![0; 1 << 20]).unwrap_err();
            let file = fs::File::options().write(true).open(&ballast).unwrap();
            file.set_len(file.metadata().unwrap().len() - free).unwrap();
            ballast
        }
    }

    impl Drop for SmallDisk {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        }
    }

    /// Fails the test unless the error is a full disk.
    fn assert_disk_full(error: AgentError) {
        let error = directory_error(error);
        let DirectoryError::Io { error, .. } = &error else { panic!("{error:?}") };
        assert_eq!(error.kind(), ErrorKind::StorageFull);
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs root: mounts a small file system"]
    async fn no_renewal_is_requested_that_a_full_disk_could_not_save() {
        let fixture = TestCluster::new().await;
        let disk = SmallDisk::mount(fixture.path("disk"));
        let mut config = fixture.config("20m", &[fixture.output("disk/out")]);
        config["storage"] = json!({ "type": "directory", "path": fixture.path("disk/storage") });
        fixture.run_oneshot(config.clone()).await.unwrap();
        let written = ["disk/out/identity", "disk/storage/tlscert"].map(|file| read(&fixture.path(file)));

        for free in [0, 4096] {
            let ballast = disk.fill(free);
            assert_disk_full(fixture.run_oneshot(config.clone()).await.unwrap_err());
            assert_eq!(
                fixture.cluster.generation(BOT),
                Some(1),
                "a renewal was requested without space to save it"
            );
            assert_eq!(
                ["disk/out/identity", "disk/storage/tlscert"].map(|file| read(&fixture.path(file))),
                written
            );
            fs::remove_file(ballast).unwrap();
        }
        fixture.run_oneshot(config).await.unwrap();
        assert_eq!(fixture.cluster.generation(BOT), Some(2));
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs root: mounts a small file system"]
    async fn an_output_on_a_full_disk_keeps_its_files_while_the_identity_is_renewed() {
        let fixture = TestCluster::new().await;
        let disk = SmallDisk::mount(fixture.path("disk"));
        let config = || fixture.config("20m", &[fixture.output("disk/out")]);
        fixture.run_oneshot(config()).await.unwrap();
        let identity = fixture.path("disk/out/identity");
        let written = read(&identity);

        let ballast = disk.fill(4096);
        let error = fixture.run_oneshot(config()).await.unwrap_err();
        assert_eq!(failed_outputs(&error), ["identity-1"]);
        assert_disk_full(error);
        assert_eq!(fixture.stored_generation(), 2);
        assert_eq!(read(&identity), written);

        fs::remove_file(ballast).unwrap();
        fixture.run_oneshot(config()).await.unwrap();
        assert_ne!(read(&identity), written);
    }
}
