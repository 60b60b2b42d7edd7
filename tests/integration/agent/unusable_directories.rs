//! Directories that cannot be written, or that other users can replace: the agent reports an error, keeps the files of the
//! last run, and writes the other outputs.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use tbot::agent::{
    AgentError, DestinationError, DirectoryError, Obstacle, OutputDestinationError, RenewalError,
    StorageError,
};
use tbot_cluster::method;

use super::errors::{directory_error, failed_outputs, failed_tests};
use super::fixture::{BOT, TestCluster, read};

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
        AgentError::Destination(OutputDestinationError { error: DestinationError::Directory(out), .. }),
    ] = &errors[..]
    else {
        panic!("{errors:?}")
    };
    assert_eq!(refused(storage), fixture.path("shared/storage"));
    assert_eq!(refused(out), fixture.path("shared/out"));
    let failures = failed_tests(fixture.run_oneshot(config("storage", "secure")).await.unwrap_err());
    let [RenewalError::Destination(OutputDestinationError { error: DestinationError::Directory(out), .. })] =
        &failures[..]
    else {
        panic!("{failures:?}")
    };
    assert_eq!(refused(out), fixture.path("shared/out"));
    assert_eq!(fixture.call_count(method::JOIN), 0);
    assert!(fs::read_dir(&shared).unwrap().next().is_none(), "not even a directory was created");
    fixture.run_oneshot(config("storage", "insecure")).await.unwrap();
    assert!(fixture.path("shared/out/identity").exists());
}

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
