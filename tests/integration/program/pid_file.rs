//! `--pid-file`: written while the program runs, removed when it exits. If it cannot be written, the start fails.

use std::path::PathBuf;

use rustix::process::Signal;

use super::fake_server::{Behaviour, FakeServer};
use super::fixture::{CLOSED_PORT, FAILING_START, Telemetry, tbot};
use crate::agent::fixture::wait_until;

/// The arguments of a start with this server as the cluster's proxy.
fn start_with_proxy(address: &str) -> [&str; 11] {
    FAILING_START.map(|argument| if argument == CLOSED_PORT { address } else { argument })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_contains_the_process_id_until_the_program_exits() {
    // The proxy never responds, so the program runs until the signal.
    let proxy = FakeServer::new(Behaviour::Silence);
    let address = proxy.address();
    let arguments = [&start_with_proxy(&address)[..], &["--pid-file", "pid"]].concat();
    let run = tbot(Telemetry::ClosedPort, &arguments).file("pid", "old");
    let file = run.path().join("pid");
    let running = run.spawn();
    let expected = format!("{}\n", running.id());
    wait_until("the file is written", || std::fs::read_to_string(&file).is_ok_and(|pid| pid == expected))
        .await;
    running.signal(Signal::TERM);
    let finished = tokio::task::block_in_place(|| running.wait());
    assert!(finished.status.is_some(), "{}", finished.stderr);
    assert!(!finished.has_file("pid"));
}

#[test]
fn a_failed_run_removes_the_file() {
    let arguments = [&FAILING_START[..], &["--pid-file", "pid"]].concat();
    let finished = tbot(Telemetry::ClosedPort, &arguments).run();
    assert_eq!(finished.status, Some(1), "{}", finished.stderr);
    assert!(!finished.has_file("pid"));
}

#[test]
fn a_file_that_cannot_be_written_prevents_the_join() {
    let (proxy, telemetry) = (FakeServer::ok(), FakeServer::ok());
    let flags = ["--pid-file", "missing/pid", "--anonymous-telemetry-opt-in"];
    let address = proxy.address();
    let arguments = [&start_with_proxy(&address)[..], &flags].concat();
    let finished = tbot(Telemetry::Server(&telemetry), &arguments).run();
    assert_eq!(finished.status, Some(1), "{}", finished.stderr);
    insta::assert_snapshot!(finished.log_at("ERROR").join("\n"), @"cannot write the PID file missing/pid: No such file or directory (os error 2); create its directory (in a unit of systemd, with RuntimeDirectory=), or choose another file with --pid-file");
    assert_eq!((proxy.connections(), telemetry.requests().len()), (0, 1));
    assert!(!finished.has_file("storage"));
}

#[test]
fn a_link_or_a_second_name_is_refused_and_the_file_behind_it_is_unchanged() {
    for plant in [std::fs::hard_link::<PathBuf, PathBuf>, std::os::unix::fs::symlink] {
        let arguments = [&FAILING_START[..], &["--pid-file", "pid"]].concat();
        let run = tbot(Telemetry::ClosedPort, &arguments).file("victim", "whole");
        plant(run.path().join("victim"), run.path().join("pid")).unwrap();
        let finished = run.run();
        assert_eq!(finished.status, Some(1), "{}", finished.stderr);
        assert_eq!(finished.read_file("victim"), "whole");
        assert!(
            finished.log_at("ERROR").iter().any(|message| message.contains("PID file")),
            "{}",
            finished.stderr
        );
        assert!(finished.has_file("pid") && !finished.has_file("storage"));
    }
}
