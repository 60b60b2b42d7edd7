//! Directories that were tampered with, and full disks: the agent reports an error, writes nothing elsewhere, and leaves the
//! files of the last run intact.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use serde_json::json;
use tbot::agent::{AgentError, DestinationError, DirectoryError, Obstacle, RenewalError, StorageError};
use tbot_cluster::method;

use super::errors::{directory_error, failed_outputs, failed_tests};
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

/// Something that another user may plant, and the agent must refuse without waiting or changing it.
const PLANTS: [fn(&Path, &Path); 3] = [
    |_, path| rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RWXU).unwrap(),
    |victim, path| fs::hard_link(victim, path).unwrap(),
    |victim, path| symlink(victim, path).unwrap(),
];

#[tokio::test(flavor = "multi_thread")]
async fn pipes_and_links_with_the_names_of_the_storages_files_are_refused_before_the_agent_joins() {
    for name in [".write-test", "lock", ".tbot-lock", "renewal-pending"] {
        for plant in PLANTS {
            let fixture = TestCluster::new().await;
            let (victim, planted) = (fixture.path("victim"), fixture.storage().join(name));
            fs::create_dir(fixture.storage()).unwrap();
            fs::write(&victim, "whole").unwrap();
            plant(&victim, &planted);
            let result = fixture.run_oneshot(fixture.config("20m", &[])).await;
            assert_eq!(read(&victim), "whole");
            // The marker is not opened before a join, which replaces it.
            if name == "renewal-pending" {
                continue;
            }
            let error = directory_error(result.unwrap_err());
            assert!(
                matches!(&error, DirectoryError::Obstructed { path, .. } if *path == planted),
                "{error:?}"
            );
            assert_eq!(fixture.call_count(method::JOIN), 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pipes_and_links_in_a_storage_stop_a_renewal_before_it_is_requested() {
    for name in ["key", "tlscert", "renewal-pending", ".write-test"] {
        for plant in PLANTS {
            let fixture = TestCluster::new().await;
            fixture.run_oneshot(fixture.config("20m", &[])).await.unwrap();
            let (victim, planted) = (fixture.path("victim"), fixture.storage().join(name));
            fs::write(&victim, "whole").unwrap();
            let _ = fs::remove_file(&planted);
            plant(&victim, &planted);
            let result = fixture.run_oneshot(fixture.config("20m", &[])).await;
            assert_eq!(read(&victim), "whole");
            assert!(result.is_err(), "{name}");
            assert_eq!(fixture.cluster.generation(BOT), Some(1), "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_with_a_pipe_or_a_link_in_the_way_fails_and_others_do_not() {
    for plant in PLANTS {
        let fixture = TestCluster::joined().await;
        let (victim, planted) = (fixture.path("victim"), fixture.path("out/.write-test"));
        fs::create_dir(fixture.path("out")).unwrap();
        fs::write(&victim, "whole").unwrap();
        plant(&victim, &planted);
        let config = fixture.config("20m", &[fixture.output("out"), fixture.output("other")]);
        let error = fixture.run_oneshot(config).await.unwrap_err();
        assert_eq!(failed_outputs(&error), ["identity-1"]);
        let error = directory_error(error);
        assert!(matches!(&error, DirectoryError::Obstructed { path, .. } if *path == planted), "{error:?}");
        assert_eq!(read(&victim), "whole");
        assert!(fixture.path("other/identity").exists());
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_written_below_a_parent_that_every_user_may_write_only_if_symlinks_is_insecure() {
    let fixture = TestCluster::new().await;
    let shared = fixture.path("shared");
    fs::create_dir(&shared).unwrap();
    set_mode(&shared, 0o777);
    let config = |storage: &str, symlinks: &str| {
        let mut output = fixture.output("shared/out");
        output["destination"]["symlinks"] = json!(symlinks);
        let mut config = fixture.config("20m", &[output]);
        config["storage"] =
            json!({ "type": "directory", "path": fixture.path(storage), "symlinks": symlinks });
        config
    };
    let refused = |error: &DirectoryError| match error {
        DirectoryError::ReplaceableByOthers { path, parent } if *parent == shared => path.clone(),
        error => panic!("{error:?}"),
    };
    let error = fixture.run_oneshot(config("shared/storage", "try-secure")).await.unwrap_err();
    let AgentError::Several(errors) = error else { panic!("{error:?}") };
    let [
        AgentError::Storage(StorageError::Directory(storage)),
        AgentError::Renewal(RenewalError::Destination { error: DestinationError::Directory(out), .. }),
    ] = &errors[..]
    else {
        panic!("{errors:?}")
    };
    assert_eq!(refused(storage), fixture.path("shared/storage"));
    assert_eq!(refused(out), fixture.path("shared/out"));
    let failures = failed_tests(fixture.run_oneshot(config("storage", "secure")).await.unwrap_err());
    let [RenewalError::Destination { error: DestinationError::Directory(out), .. }] = &failures[..] else {
        panic!("{failures:?}")
    };
    assert_eq!(refused(out), fixture.path("shared/out"));
    assert_eq!(fixture.call_count(method::JOIN), 0);
    assert!(is_empty(&shared), "not even a directory was created");
    fixture.run_oneshot(config("storage", "insecure")).await.unwrap();
    assert!(fixture.path("shared/out/identity").exists());
}

/// Run as root: `cargo test --package tbot --test integration -- --ignored needs_root`.
mod needs_root {
    use std::process::Command;

    use super::*;

    /// A file or directory that not even root can change, until dropped.
    struct Immutable<'a>(&'a Path);

    impl<'a> Immutable<'a> {
        fn new(path: &'a Path) -> Self {
            let status = Command::new("chattr").arg("+i").arg(path).status().unwrap();
            assert!(status.success(), "chattr +i needs root and a file system that supports it");
            Self(path)
        }
    }

    impl Drop for Immutable<'_> {
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

        let immutable = Immutable::new(&out);
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

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs root: makes files immutable with chattr"]
    async fn no_renewal_is_requested_if_a_file_of_the_storage_cannot_be_replaced() {
        let fixture = TestCluster::new().await;
        let config = || fixture.config("20m", &[]);
        fixture.run_oneshot(config()).await.unwrap();
        for name in ["key", "tlscert", "tokenhash"] {
            let file = fixture.storage().join(name);
            let before = read(&file);
            let immutable = Immutable::new(&file);
            let error = fixture.run_oneshot(config()).await.unwrap_err();
            drop(immutable);
            let DirectoryError::Io { error, .. } = directory_error(error) else {
                panic!("not a system call's error")
            };
            assert_eq!(error.kind(), ErrorKind::PermissionDenied);
            assert_eq!(fixture.cluster.generation(BOT), Some(1), "{name}");
            assert!(!fixture.has_renewal_marker());
            assert_eq!(read(&file), before);
        }
        fixture.run_oneshot(config()).await.unwrap();
        assert_eq!(fixture.stored_generation(), 2);
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs root: mounts a small file system"]
    async fn a_renewal_that_was_requested_is_saved_however_few_inodes_are_free() {
        let fixture = TestCluster::new().await;
        let disk = SmallDisk::mount(fixture.path("disk"));
        let mut config = fixture.config("20m", &[]);
        config["storage"] = json!({ "type": "directory", "path": fixture.path("disk/storage") });
        fixture.run_oneshot(config.clone()).await.unwrap();
        // Takes all inodes, and then frees one after the other.
        let mut taken: Vec<_> = (0..)
            .map(|number| fixture.path(&format!("disk/{number}")))
            .take_while(|path| fs::write(path, "").is_ok())
            .collect();
        let mut refused = 0;
        while let Err(error) = fixture.run_oneshot(config.clone()).await {
            assert_disk_full(error);
            refused += 1;
            assert_eq!(
                fixture.cluster.generation(BOT),
                Some(1),
                "a renewal was requested that could not be saved"
            );
            fs::remove_file(taken.pop().unwrap()).unwrap();
        }
        assert!(refused > 1);
        assert_eq!(fixture.cluster.generation(BOT), Some(2));
        drop(disk);
    }

    /// A file system of 256 KiB and 64 inodes, mounted until dropped.
    struct SmallDisk(PathBuf);

    impl SmallDisk {
        fn mount(path: PathBuf) -> Self {
            fs::create_dir(&path).unwrap();
            let status = Command::new("mount")
                .args(["-t", "tmpfs", "-o", "size=256k,nr_inodes=64", "tmpfs"])
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
