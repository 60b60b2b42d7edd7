//! A disk without space or inodes, and a process without descriptors: what is acknowledged is stored exactly once, and the
//! receiver works again as soon as there is room.

#![expect(clippy::print_stderr, reason = "figures for `cargo xtask prove`")]

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use reqwest::Client;
use serde_json::Value;

use crate::fixture::{ServeProcess, body, client, sqlite_in, stored, submit, uuid};

/// A small file system, mounted until dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: PathBuf) -> Self {
        fs::create_dir(&path).unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=16m,nr_inodes=64", "tmpfs"];
        let status = Command::new("mount").args(mount).arg(&path).status().unwrap();
        assert!(status.success(), "mount needs root");
        Self(path)
    }

    /// Takes all space, and returns the file that does so.
    fn fill(&self) -> Vec<PathBuf> {
        let path = self.0.join("ballast");
        fs::write(&path, vec![0; 32 << 20]).unwrap_err();
        vec![path]
    }

    /// Takes all inodes, and returns the files that do so.
    fn take_all_inodes(&self) -> Vec<PathBuf> {
        let files = (0..).map(|number| self.0.join(format!("taken-{number}")));
        files.take_while(|path| fs::write(path, "").is_ok()).collect()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Returns an event that differs from all others by a count.
fn event(number: u64) -> Value {
    let mut event = body(&uuid(number));
    event["start"]["destinationsKubernetes"] = number.into();
    event
}

/// Submits an event, and returns the status. Reads the response, so that the connection can be used again.
async fn send(client: &Client, address: SocketAddr, number: u64) -> u16 {
    let response = submit(client, address, &event(number)).await;
    let status = response.status().as_u16();
    response.bytes().await.unwrap();
    status
}

/// Submits events, and returns those that are not acknowledged: they must be refused as temporarily unavailable.
async fn submit_all(process: &ServeProcess, numbers: impl IntoIterator<Item = u64>) -> Vec<u64> {
    let client = client();
    let mut refused = Vec::new();
    for number in numbers {
        let status = send(&client, process.address, number).await;
        assert!(matches!(status, 200 | 503), "{status}");
        refused.extend((status != 200).then_some(number));
    }
    refused
}

/// Returns how many different events are stored. None may be stored twice.
fn count_stored(directory: &Path) -> u64 {
    let all = stored(&sqlite_in(directory));
    assert!(all.iter().all(|(.., count)| *count == 1));
    u64::try_from(all.len()).unwrap()
}

/// Exhausts a disk in three rounds, and sends what was refused again when there is room.
async fn assert_survives(what: &str, exhaust: fn(&SmallDisk) -> Vec<PathBuf>) {
    const EVENTS: u64 = 400;
    let root = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(root.path().join("disk"));
    let process = ServeProcess::start(&disk.0, &[]);
    // The store is open.
    assert_eq!(send(&client(), process.address, 0).await, 200);
    let mut refused = 0;
    for round in 0..3 {
        let ballast = exhaust(&disk);
        let again = submit_all(&process, round * EVENTS..(round + 1) * EVENTS).await;
        refused += again.len();
        ballast.iter().for_each(|file| fs::remove_file(file).unwrap());
        assert!(submit_all(&process, again).await.is_empty());
    }
    process.kill();
    assert_eq!(count_stored(&disk.0), 3 * EVENTS);
    eprintln!("figure: {} events without {what}, {refused} refused, all stored once in the end", 3 * EVENTS);
}

#[tokio::test]
#[ignore = "needs root: mounts a small file system"]
async fn a_disk_without_space_loses_no_event() {
    assert_survives("space", SmallDisk::fill).await;
}

#[tokio::test]
#[ignore = "needs root: mounts a small file system"]
async fn a_disk_without_inodes_loses_no_event() {
    assert_survives("inodes", SmallDisk::take_all_inodes).await;
}

#[tokio::test]
async fn a_process_without_descriptors_serves_its_connections_and_accepts_more_later() {
    let directory = tempfile::tempdir().unwrap();
    let process = ServeProcess::start(directory.path(), &[]);
    let open = client();
    assert_eq!(send(&open, process.address, 0).await, 200);
    let limit = |value: &str| {
        let mut prlimit = Command::new("prlimit");
        prlimit.args(["--pid", &process.pid().to_string(), &format!("--nofile={value}:")]);
        assert!(prlimit.status().unwrap().success());
    };
    limit("3");
    for number in 1..100 {
        assert_eq!(send(&open, process.address, number).await, 200);
    }
    // Its connection is accepted when there are descriptors again.
    let (address, waiting) = (process.address, client());
    let waiting = tokio::spawn(async move { send(&waiting, address, 100).await });
    assert_eq!(send(&open, process.address, 101).await, 200);
    limit("1024");
    assert_eq!(waiting.await.unwrap(), 200);
    let lines = process.log().lines().count();
    assert!(lines < 100, "{lines} lines of log");
    process.kill();
    assert_eq!(count_stored(directory.path()), 102);
    eprintln!("figure: 101 events on an open connection, 1 on another as soon as there were descriptors");
}
