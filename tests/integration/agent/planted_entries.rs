//! Links, pipes and files that another user has planted: the agent refuses them without waiting for them, following them or
//! changing them, and writes nothing elsewhere.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::io::Errno;
use tbot::agent::DirectoryError;
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

/// `cp -al` makes a snapshot quickly: it gives a second name to every file, also to the empty ones that the agent itself uses.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_with_hard_links_does_not_stop_the_agent_and_does_not_change() {
    let fixture = TestCluster::new().await;
    let config = || fixture.config("20m", &[fixture.output("out")]);
    fixture.run_oneshot(config()).await.unwrap();
    let snapshot = fixture.path("snapshot");
    fs::create_dir(&snapshot).unwrap();
    for directory in [fixture.storage(), fixture.path("out")] {
        let status =
            std::process::Command::new("cp").arg("-al").arg(directory).arg(&snapshot).status().unwrap();
        assert!(status.success());
    }
    let stored = snapshot.join(fixture.storage().file_name().unwrap());
    let before = [read(&stored.join("key")), read(&snapshot.join("out/identity"))];
    for generation in [2, 3] {
        fixture.run_oneshot(config()).await.unwrap();
        assert_eq!(fixture.cluster.generation(BOT), Some(generation));
    }
    assert_eq!([read(&stored.join("key")), read(&snapshot.join("out/identity"))], before);
}
