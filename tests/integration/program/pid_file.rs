//! `--pid-file`: written while the program runs, gone after its end, and refused where it cannot be written.

use std::path::Path;

use rustix::process::Signal;

use super::receiver::{Behaviour, Receiver};
use super::run::{CLOSED, ENDS_AT_ONCE, Telemetry, tbot};
use crate::agent::fixture::wait_until;

#[tokio::test(flavor = "multi_thread")]
async fn the_file_holds_the_id_of_the_process_and_is_gone_when_it_ends() {
    // A proxy that never answers keeps the program until the signal.
    let proxy = Receiver::new(Behaviour::Silence);
    let address = proxy.url().replace("http://", "");
    let arguments = ENDS_AT_ONCE.map(|argument| if argument == CLOSED { &address } else { argument });
    let run = tbot(Telemetry::Nowhere, &[&arguments[..], &["--pid-file", "pid"]].concat()).file("pid", "old");
    let file = run.path().join("pid");
    let running = run.spawn();
    let expected = format!("{}\n", running.id());
    wait_until("the id is written", || std::fs::read_to_string(&file).is_ok_and(|text| text == expected))
        .await;
    running.signal(Signal::TERM);
    let ended = tokio::task::block_in_place(|| running.end());
    assert!(ended.status.is_some(), "{}", ended.stderr);
    assert!(!Path::exists(&file));
}

#[test]
fn a_failed_run_leaves_no_file() {
    let ended = tbot(Telemetry::Nowhere, &[&ENDS_AT_ONCE[..], &["--pid-file", "pid"]].concat()).end();
    assert_eq!(ended.status, Some(1), "{}", ended.stderr);
    assert!(!ended.has_left("pid"));
}

#[test]
fn a_file_that_cannot_be_written_refuses_the_start_and_nothing_is_joined() {
    let (proxy, telemetry) = (Receiver::ok(), Receiver::ok());
    let address = proxy.url().replace("http://", "");
    let arguments = ENDS_AT_ONCE.map(|argument| if argument == CLOSED { &address } else { argument });
    let flags = ["--pid-file", "missing/pid", "--anonymous-telemetry-opt-in"];
    let ended = tbot(Telemetry::To(&telemetry), &[&arguments[..], &flags].concat()).end();
    assert_eq!(ended.status, Some(1), "{}", ended.stderr);
    let said = "cannot write the pid file missing/pid: No such file or directory";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
    assert_eq!((proxy.connections(), telemetry.requests().len()), (0, 1));
    assert!(!ended.has_left("storage"));
}
