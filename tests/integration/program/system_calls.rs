//! Telemetry that is off makes no system calls: the program opens no socket for it and resolves no name.

use super::fixture::{FAILING_START, Telemetry, tbot};

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
