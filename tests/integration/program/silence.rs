//! Telemetry that is off is silent below HTTP, too: the kernel is not asked for a socket to it, nor a resolver for its name.

use super::run::{ENDS_AT_ONCE, Telemetry, tbot};

/// What a run asked the kernel for that has to do with the network, one call a line.
fn traced(flags: &[&str]) -> String {
    let arguments = [&ENDS_AT_ONCE[..], flags].concat();
    let ended =
        tbot(Telemetry::Address("https://does-not-exist.invalid"), &arguments).resolving().traced().end();
    assert_eq!(ended.status, Some(1), "{}", ended.stderr);
    ended.left("trace")
}

/// The calls that open what a resolver reads, or that connect to anything but the proxy of the agent.
fn beyond_the_agent(trace: &str) -> Vec<&str> {
    const RESOLVER: [&str; 4] = ["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/var/run/nscd"];
    let is_agents = |line: &str| line.contains("htons(1)") && line.contains("inet_addr(\"127.0.0.1\")");
    let is_beyond = |line: &&str| {
        RESOLVER.iter().any(|file| line.contains(file))
            || ["connect(", "sendto(", "sendmsg(", "sendmmsg("]
                .iter()
                .any(|call| line.contains(call) && !is_agents(line))
    };
    trace.lines().filter(is_beyond).collect()
}

#[test]
#[ignore = "needs strace, and a kernel that lets it trace"]
fn off_asks_the_kernel_for_nothing() {
    let off = traced(&[]);
    assert!(off.contains("connect("), "the agent itself connects:\n{off}");
    assert_eq!(beyond_the_agent(&off), [""; 0]);
    // The same look at a run with telemetry on sees it.
    let on = traced(&["--anonymous-telemetry-opt-in"]);
    assert_ne!(beyond_the_agent(&on), [""; 0]);
}
