//! Disks without space or inodes: nothing is requested that could not be saved, and the files of the last run stay intact.
//!
//! Run as root: `cargo test --package tbot --test integration -- --ignored full_disks`.

#![expect(clippy::print_stderr, reason = "figures for `cargo xtask prove`")]

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;
use tbot::agent::{AgentError, DestinationError, DirectoryError, OutputDestinationError, RenewalError};
use tbot_cluster::method;

use super::certificate::generation;
use super::errors::{directory_error, failed_outputs, failed_tests};
use super::fixture::{BOT, MINUTE, SECOND, TestCluster, read, run_oneshot, wait_until};
use super::log_capture::{LogCapture, LogEvent};

/// A file system of 512 KiB and 128 inodes, mounted until dropped.
struct SmallDisk(PathBuf);

/// How much more space is free in each run of a test. `TBOT_TEST_SPACE=1024` tries more amounts.
#[expect(clippy::disallowed_methods, reason = "a setting of the test run")]
fn space_between_runs() -> usize {
    std::env::var("TBOT_TEST_SPACE").ok().and_then(|bytes| bytes.parse().ok()).unwrap_or(16 << 10)
}

impl SmallDisk {
    /// Takes all inodes, and returns the files that do so.
    fn take_all_inodes(&self) -> Vec<PathBuf> {
        let files = (0..).map(|number| self.0.join(number.to_string()));
        files.take_while(|path| fs::write(path, "").is_ok()).collect()
    }

    fn mount(path: PathBuf) -> Self {
        fs::create_dir(&path).unwrap();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=512k,nr_inodes=128", "tmpfs"])
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
        file.set_len(file.metadata().unwrap().len().saturating_sub(free)).unwrap();
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
async fn a_renewal_that_was_requested_is_saved_however_few_inodes_are_free() {
    let fixture = TestCluster::new().await;
    let disk = SmallDisk::mount(fixture.path("disk"));
    let mut config = fixture.config("20m", &[]);
    config["storage"] = json!({ "type": "directory", "path": fixture.path("disk/storage") });
    fixture.run_oneshot(config.clone()).await.unwrap();
    // Takes all inodes, and then frees one after the other.
    let mut taken = disk.take_all_inodes();
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
    eprintln!("figure: {refused} runs requested no renewal, then it was saved");
    assert!(refused > 1);
    assert_eq!(fixture.cluster.generation(BOT), Some(2));
}

/// The space that was reserved before the request is enough to save the response.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: mounts a small file system"]
async fn a_renewal_is_saved_although_the_disk_fills_up_while_it_is_requested() {
    let fixture = TestCluster::new().await;
    let disk = SmallDisk::mount(fixture.path("disk"));
    let mut config = fixture.config("20m", &[]);
    config["storage"] = json!({ "type": "directory", "path": fixture.path("disk/storage") });
    fixture.run_oneshot(config.clone()).await.unwrap();
    let mut held = fixture.cluster.hold_next(method::GENERATE_USER_CERTS);
    let agent = fixture.agent(config).unwrap();
    let run = tokio::spawn(async move { run_oneshot(&agent).await });
    held.arrived().await;
    disk.fill(0);
    disk.take_all_inodes();
    drop(held);
    run.await.unwrap().unwrap();
    assert_eq!(generation(&fixture.path("disk/storage/tlscert")), 2);
}

/// Whatever amount of space is free, the agent either requests no renewal or saves it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: mounts a small file system"]
async fn every_amount_of_free_space_leads_to_a_saved_renewal_or_none() {
    let fixture = TestCluster::new().await;
    let disk = SmallDisk::mount(fixture.path("disk"));
    let mut config = fixture.config("20m", &[fixture.output("disk/out")]);
    config["storage"] = json!({ "type": "directory", "path": fixture.path("disk/storage") });
    fixture.run_oneshot(config.clone()).await.unwrap();
    let stored = || generation(&fixture.path("disk/storage/tlscert"));
    let (mut refused, mut incomplete, mut succeeded) = (0, 0, 0);
    for free in (0_u64..=160 << 10).step_by(space_between_runs()) {
        let ballast = disk.fill(free);
        let (before, written) = (stored(), read(&fixture.path("disk/out/identity")));
        let result = fixture.run_oneshot(config.clone()).await;
        assert_eq!(fixture.cluster.generation(BOT), Some(stored()), "{free} bytes were free");
        let is_renewed = stored() > before;
        if let Err(error) = result {
            assert_disk_full(error);
            assert_eq!(read(&fixture.path("disk/out/identity")), written, "{free} bytes were free");
            *if is_renewed { &mut incomplete } else { &mut refused } += 1;
        } else {
            assert!(is_renewed);
            succeeded += 1;
        }
        fs::remove_file(ballast).unwrap();
    }
    eprintln!(
        "figure: {refused} runs requested no renewal, {incomplete} saved it without the output, {succeeded} wrote everything"
    );
    assert!(refused > 0 && succeeded > 0);
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

/// A disk can be full for hours. The first attempt finds out, and the cluster is not asked again until there is space.
#[tokio::test]
#[ignore = "needs root: mounts a small file system"]
async fn a_full_disk_does_not_cause_a_request_with_every_retry() {
    let log = LogCapture::start();
    let fixture = TestCluster::new().await;
    let disk = SmallDisk::mount(fixture.path("disk"));
    let running = fixture.start(fixture.config("30m", &[fixture.output("disk/out")]));
    let identity = fixture.path("disk/out/identity");
    // There is only one thread, so the output already waits for its next renewal when this event is seen.
    wait_until("the output is written", || log.count(LogEvent::is_write) == 1).await;
    let written = read(&identity);
    let ballast = disk.fill(4096);
    let before = fixture.call_count(method::GENERATE_USER_CERTS);
    fixture.clock.advance(31 * MINUTE);
    let failures = || log.count(|event| event.is_failure_of("identity-1"));
    for attempt in 1..=5 {
        wait_until("another attempt has failed", || failures() >= attempt).await;
        fixture.clock.advance(MINUTE);
    }
    wait_until("the identity is renewed", || log.count(LogEvent::is_new_identity) == 2).await;
    // One for the identity, which is stored elsewhere, and one for the output.
    assert_eq!(fixture.call_count(method::GENERATE_USER_CERTS), before + 2, "{}", log.transcript());
    fs::remove_file(ballast).unwrap();
    wait_until("the output is written", || {
        fixture.clock.advance(SECOND);
        read(&identity) != written
    })
    .await;
    running.stop().await.unwrap();
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

/// Fails the test unless the agent has not joined, because these outputs cannot be written to a full disk.
fn assert_not_joined(fixture: &TestCluster, error: AgentError, outputs: &[&str]) {
    assert_eq!(outputs_on_a_full_disk(fixture, error), outputs);
}

/// Returns the outputs that cannot be written to a full disk, so that the agent has not joined.
fn outputs_on_a_full_disk(fixture: &TestCluster, error: AgentError) -> Vec<String> {
    let mut names = Vec::new();
    for failure in failed_tests(error) {
        match failure {
            RenewalError::Destination(OutputDestinationError {
                output,
                error: DestinationError::Directory(DirectoryError::Io { error, .. }),
                ..
            }) if error.kind() == ErrorKind::StorageFull => names.push(output),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(fixture.call_count(method::JOIN), 0);
    names
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: mounts a small file system"]
async fn a_full_disk_of_outputs_is_found_before_a_join() {
    let fixture = TestCluster::new().await;
    let disk = SmallDisk::mount(fixture.path("disk"));
    let outputs = ["disk/a", "other", "disk/b"].map(|name| fixture.output(name));
    let config = || fixture.config("20m", &outputs);
    for free in [0, 16 << 10] {
        let ballast = disk.fill(free);
        let error = fixture.run_oneshot(config()).await.unwrap_err();
        assert_not_joined(&fixture, error, &["identity-1", "identity-3"]);
        fs::remove_file(ballast).unwrap();
    }
    // Enough for one of them. They are tested at the same time, so each may get a part of the space.
    let ballast = disk.fill(140 << 10);
    let refused = outputs_on_a_full_disk(&fixture, fixture.run_oneshot(config()).await.unwrap_err());
    assert!(!refused.is_empty());
    for output in ["a", "b"] {
        assert!(!fixture.path("disk").join(output).join(".tbot-staged").exists(), "{output}");
    }
    fs::remove_file(ballast).unwrap();
    fixture.run_oneshot(config()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: mounts a small file system"]
async fn an_output_of_a_disk_without_inodes_is_found_before_a_join() {
    let fixture = TestCluster::new().await;
    let disk = SmallDisk::mount(fixture.path("disk"));
    let config = || fixture.config("20m", &[fixture.output("disk/out")]);
    let mut taken = disk.take_all_inodes();
    // The directory, the lock and the test file, and some of the files of the set.
    let mut refused = 0;
    while let Err(error) = fixture.run_oneshot(config()).await {
        assert_not_joined(&fixture, error, &["identity-1"]);
        refused += 1;
        fs::remove_file(taken.pop().unwrap()).unwrap();
    }
    eprintln!("figure: {refused} runs did not join, then one wrote everything");
    assert!(refused > 10, "{refused}");
    assert!(fixture.path("disk/out/identity").exists());
}
