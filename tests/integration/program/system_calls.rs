//! System calls of the program: telemetry that is off opens no socket and resolves no name, and files are on the disk before
//! anything depends on them.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};

use super::bot_fixture::BotFixture;
use super::fixture::{FAILING_START, Telemetry, tbot};
use crate::agent::fixture::wait_until;

/// Runs the program under `strace`, and returns its file and network system calls, one per line.
fn system_calls(flags: &[&str]) -> String {
    let arguments = [&FAILING_START[..], flags].concat();
    let endpoint = Telemetry::Address("https://does-not-exist.invalid");
    let finished = tbot(endpoint, &arguments).without_proxy().with_strace("network,open,openat").run();
    assert_eq!(finished.status, Some(1), "{}", finished.stderr);
    finished.read_file("trace")
}

/// The calls that open a file of the resolver, or connect to anything but the cluster's proxy, which the agent does.
fn calls_for_telemetry(trace: &str) -> Vec<&str> {
    const RESOLVER: [&str; 4] = ["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/var/run/nscd"];
    const SEND: [&str; 4] = ["connect(", "sendto(", "sendmsg(", "sendmmsg("];
    let is_from_agent = |line: &str| line.contains("htons(1)") && line.contains("inet_addr(\"127.0.0.1\")");
    let is_for_telemetry = |line: &&str| {
        RESOLVER.iter().any(|file| line.contains(file))
            || SEND.iter().any(|call| line.contains(call) && !is_from_agent(line))
    };
    trace.lines().filter(is_for_telemetry).collect()
}

#[test]
#[ignore = "needs strace, and a kernel that permits it"]
fn telemetry_off_makes_no_system_calls() {
    let off = system_calls(&[]);
    assert!(off.contains("connect("), "the agent itself connects:\n{off}");
    assert_eq!(calls_for_telemetry(&off), [""; 0]);
    // Proves that the filter finds the calls of a run with telemetry on.
    let on = system_calls(&["--anonymous-telemetry-opt-in"]);
    assert_ne!(calls_for_telemetry(&on), [""; 0]);
}

/// Runs the program with an endpoint whose name has no dot, and returns whether it resolved that name.
///
/// Before the GNU C library sends a query for such a name, it looks for an alias in the file that `HOSTALIASES` names. Here
/// this is a FIFO, which the test can open for writing only while the program reads it.
#[cfg(target_env = "gnu")]
async fn resolves_the_name(flags: &[&str]) -> bool {
    let run = tbot(Telemetry::Address("https://invalid"), &[&FAILING_START[..], flags].concat());
    let aliases = run.path().join("aliases");
    mknodat(CWD, &aliases, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let mut running = run.env("HOSTALIASES", &aliases).without_proxy().spawn();
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let mut has_read = false;
    wait_until("the program has exited", || {
        if let Ok(mut fifo) = OpenOptions::new().write(true).custom_flags(nonblocking).open(&aliases) {
            has_read = true;
            // An alias with a dot, so that the resolver does not append its search domains first.
            fifo.write_all(b"invalid does-not-exist.invalid\n").unwrap();
        }
        running.has_exited()
    })
    .await;
    let finished = running.wait();
    assert_eq!(finished.status, Some(1), "{}", finished.stderr);
    has_read
}

#[cfg(target_env = "gnu")]
#[tokio::test]
async fn telemetry_off_resolves_no_name() {
    assert!(!resolves_the_name(&[]).await);
    // Proves that a look-up is noticed.
    assert!(resolves_the_name(&["--anonymous-telemetry-opt-in"]).await);
}

/// The calls that change directories, make changes durable, or send something, one per line.
fn durability_trace(fixture: &BotFixture) -> Vec<String> {
    let calls = "fsync,fdatasync,rename,renameat,renameat2,write,writev,sendto,sendmsg,unlinkat,openat";
    let finished = fixture.start(&["--oneshot"]).with_strace(calls).run_blocking();
    assert_eq!(finished.status, Some(0), "{}", finished.stderr);
    finished.read_file("trace").lines().map(str::to_owned).collect()
}

/// Returns the index of the first call after `start` that contains all of these parts.
fn position_after(trace: &[String], start: usize, parts: &[&str]) -> usize {
    let is_match = |line: &String| parts.iter().all(|part| line.contains(part));
    let found = trace.iter().enumerate().skip(start + 1).find(|(_, line)| is_match(line));
    found
        .map(|(index, _)| index)
        .unwrap_or_else(|| panic!("no {parts:?} after line {start}:\n{}", trace.join("\n")))
}

/// Returns whether the trace contains a call with all of these parts, from `start` to `end`.
fn is_between(trace: &[String], start: usize, end: usize, parts: &[&str]) -> bool {
    trace[start..end].iter().any(|line| parts.iter().all(|part| line.contains(part)))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs strace, and a kernel that permits it"]
async fn a_set_is_on_the_disk_before_a_link_leads_to_it() {
    let fixture = BotFixture::new().await;
    durability_trace(&fixture);
    let trace = durability_trace(&fixture);
    let out = fixture.path("out");
    let out = out.to_str().unwrap();
    let switch = position_after(&trace, 0, &["rename", "\"..data_tmp\"", "\"..data\""]);
    let begin = position_after(&trace, 0, &["openat", "/..2>", "O_CREAT"]);
    for file in ["key", "tlscert", "identity"] {
        assert!(is_between(&trace, begin, switch, &["fsync", &format!("{out}/..2/{file}>")]), "{file}");
    }
    let directory = position_after(&trace, begin, &["fsync", &format!("{out}/..2>")]);
    assert!(
        !is_between(&trace, directory, switch, &["fsync", "/..2/"]),
        "a file is synced after its directory"
    );
    let parent = position_after(&trace, directory, &["fsync", &format!("{out}>")]);
    assert!(parent < switch, "the new directory must be durable before the link leads to it");
    let switched = position_after(&trace, switch, &["fsync", &format!("{out}>")]);
    let removed = position_after(&trace, switch, &["unlinkat", "..1"]);
    assert!(switched < removed, "the switch must be durable before the old set is removed");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs strace, and a kernel that permits it"]
async fn regular_files_are_on_the_disk_before_the_set_is_committed() {
    let fixture = BotFixture::new().await;
    fixture.change_config(|config| config["services"][0]["destination"]["symlinks"] = "secure".into());
    durability_trace(&fixture);
    let trace = durability_trace(&fixture);
    let out = fixture.path("out");
    let out = out.to_str().unwrap();
    let begin = position_after(&trace, 0, &["openat", &format!("{out}/.tbot-staged>"), "O_CREAT"]);
    let commit = position_after(&trace, begin, &["rename", "\".tbot-staged\"", "\".tbot-commit\""]);
    for file in ["key", "tlscert", "identity"] {
        assert!(is_between(&trace, begin, commit, &["fsync", &format!("/.tbot-staged/{file}>")]), "{file}");
    }
    assert!(is_between(&trace, begin, commit, &["fsync", &format!("{out}/.tbot-staged>")]));
    let committed = position_after(&trace, commit, &["fsync", &format!("{out}>")]);
    let moved = position_after(&trace, commit, &["rename", "\"key\""]);
    assert!(committed < moved, "the commit must be durable before a file is moved");
    let removed = position_after(&trace, moved, &["unlinkat", "\".tbot-commit\""]);
    let syncs = trace[moved..removed].iter().filter(|line| line.contains("fsync")).count();
    assert_eq!(syncs, 1, "the parent is synced once for all files");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs strace, and a kernel that permits it"]
async fn the_renewal_marker_and_the_response_are_on_the_disk_in_time() {
    let fixture = BotFixture::new().await;
    durability_trace(&fixture);
    let trace = durability_trace(&fixture);
    let storage = fixture.path("storage");
    let storage = storage.to_str().unwrap();

    let noted = position_after(&trace, 0, &["openat", "\"renewal-pending\"", "O_CREAT"]);
    let note = position_after(&trace, noted, &["fsync", &format!("{storage}/renewal-pending>")]);
    let directory = position_after(&trace, note, &["fsync", &format!("{storage}>")]);
    // The first file of the response is synced only after the response has arrived.
    let saved = position_after(&trace, note, &["fsync", "/.tbot-staged/"]);
    assert!(directory < saved, "the note's directory is not synced before the request");
    let is_request = |line: &String| line.contains("<socket:") || line.contains("<TCP");
    let request = directory + trace[directory..].iter().position(is_request).unwrap();
    assert!(request < saved, "nothing was sent between the note and the response");

    let commit = position_after(&trace, saved, &["rename", "\".tbot-staged\"", "\".tbot-commit\""]);
    for file in ["key", "tlscert", "tokenhash"] {
        assert!(is_between(&trace, saved, commit, &["fsync", &format!("/.tbot-staged/{file}>")]), "{file}");
    }
    assert!(is_between(&trace, saved, commit, &["fsync", &format!("{storage}/.tbot-staged>")]));
    let committed = position_after(&trace, commit, &["fsync", &format!("{storage}>")]);
    let moved = position_after(&trace, commit, &["rename", "\"key\""]);
    assert!(committed < moved, "the commit must be durable before a file is moved");
    let last = position_after(&trace, moved, &["rename", "\"tokenhash\""]);
    assert!(!is_between(&trace, moved, last, &["fsync"]), "one fsync of the parent is enough");
    let durable = position_after(&trace, last, &["fsync", &format!("{storage}>")]);
    let removed = position_after(&trace, last, &["unlinkat", "\".tbot-commit\""]);
    assert!(durable < removed, "the files must be durable before the commit directory is removed");
}
