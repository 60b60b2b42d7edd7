//! Telemetry that is off makes no system calls: the program opens no socket for it and resolves no name.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};

use super::fixture::{FAILING_START, Telemetry, tbot};
use crate::agent::fixture::wait_until;

/// Runs the program under `strace`, and returns its file and network system calls, one per line.
fn system_calls(flags: &[&str]) -> String {
    let arguments = [&FAILING_START[..], flags].concat();
    let endpoint = Telemetry::Address("https://does-not-exist.invalid");
    let finished = tbot(endpoint, &arguments).without_proxy().with_strace().run();
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
