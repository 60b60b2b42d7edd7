//! Streams and files that block or are full: nothing stops the agent, and a report that cannot be written is a failure.

use std::fs::File;

use rustix::process::Signal;

use super::bot_fixture::BotFixture;
use super::fixture::{Telemetry, tbot};
use crate::agent::fixture::{read, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn a_standard_error_that_nobody_reads_stops_neither_renewals_nor_the_shutdown() {
    let fixture = BotFixture::new().await;
    let mut running = fixture.start(&["--debug"]).spawn_with_blocked_stderr();
    let key = fixture.path("out").join("key");
    wait_until("the output is written", || key.exists()).await;
    let before = read(&key);
    running.signal(Signal::HUP);
    wait_until("everything is renewed", || read(&key) != before && fixture.stored_generation() == Some(2))
        .await;
    running.signal(Signal::TERM);
    let mut ended = None;
    wait_until("the program has ended", || {
        ended = running.try_wait();
        ended.is_some()
    })
    .await;
    assert_eq!(ended, Some(Some(0)));
}

#[test]
fn a_configuration_that_is_a_pipe_without_a_writer_is_unreadable() {
    let run = tbot(Telemetry::ClosedPort, &["start", "-c", "pipe"]);
    rustix::fs::mkfifoat(rustix::fs::CWD, run.path().join("pipe"), rustix::fs::Mode::RWXU).unwrap();
    let finished = run.run();
    assert_eq!(finished.status, Some(2));
    assert!(finished.stderr.contains("pipe"), "{}", finished.stderr);
}

#[test]
fn a_configuration_may_be_a_pipe_that_is_open_already() {
    let finished = tbot(Telemetry::ClosedPort, &["validate", "/dev/stdin"]).stdin("version: v2\n").run();
    assert_eq!((finished.status, finished.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_report_that_cannot_be_written_is_a_failure_with_a_message() {
    for (file, arguments) in [
        ("version: v3\n", &["validate", "tbot.yaml"][..]),
        ("version: v2\n", &["validate", "tbot.yaml"]),
        ("", &["--help"]),
    ] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let run = tbot(Telemetry::ClosedPort, arguments).file("tbot.yaml", file);
        let finished = run.spawn_with_stdout(full).wait();
        assert_eq!(finished.status, Some(1), "{arguments:?}");
        assert!(finished.stderr.starts_with("error: "), "{}", finished.stderr);
    }
}

#[test]
fn the_exit_status_does_not_depend_on_who_reads_the_output() {
    // The report is longer than a buffer.
    let unknown: String = (0..200).map(|number| format!("unknown_{number}: 1\n")).collect();
    for (arguments, expected) in [
        (&["start", "-c", "tbot.yaml"][..], 3),
        (&["validate", "tbot.yaml"], 3),
        (&["migrate", "tbot.yaml"], 3),
        (&["install", "systemd", "-c", "tbot.yaml"], 3),
        (&["telemetry", "preview", "-c", "tbot.yaml"], 3),
        (&["telemetry", "status", "-c", "tbot.yaml"], 3),
        (&["start", "--unknown"], 2),
        (&["schema", "config"], 0),
    ] {
        let run = || {
            let file = format!("version: v2\n{unknown}");
            tbot(Telemetry::ClosedPort, arguments).file("tbot.yaml", file)
        };
        assert_eq!(run().run().status, Some(expected), "{arguments:?}");
        assert_eq!(run().status_without_reader(false), Some(expected), "{arguments:?}");
        assert_eq!(run().status_without_reader(true), Some(expected), "{arguments:?}");
    }
}
