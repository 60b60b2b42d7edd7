//! Silence, seen by the kernel: with telemetry off, a start has connections only to the cluster, and the other commands have
//! none. With telemetry on, a start has exactly one more. Neither opens a file that only telemetry needs.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;
use rustix::process::{Pid, Signal, kill_process};

use super::bot_fixture::BotFixture;
use super::fixture::{CLOSED_PORT, Run, Telemetry, tbot};
use crate::agent::fixture::wait_until;

const CALLS: &str = "network,open,openat";
const ON: &str = "--anonymous-telemetry-opt-in";

/// Files outside the directories of a test that any run may open: what the loader and the runtime need.
const SYSTEM_FILES: [&str; 5] = ["/etc/ld.so.", "/lib", "/usr/lib", "/proc/", "/sys/fs/cgroup"];

/// What a process did.
#[derive(Debug, PartialEq, Eq)]
struct Trace {
    /// The addresses that it connected to, in order.
    connected: Vec<String>,
    /// The families and types of its sockets.
    sockets: BTreeSet<String>,
    /// The files that it opened.
    opened: BTreeSet<String>,
}

impl Trace {
    /// Reads the output of `strace`. In paths, names replace the directories.
    fn parse(text: &str, directories: &[(&Path, &str)]) -> Self {
        static CONNECT: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r#" connect\(.*sin6?_port=htons\((\d+)\).*?"([0-9a-f.:]+)""#).unwrap()
        });
        static SOCKET: LazyLock<Regex> = LazyLock::new(|| Regex::new(r" socket\((\w+), (\w+)").unwrap());
        static OPEN: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#" open(?:at)?\(.*?"([^"]*)""#).unwrap());
        let captures = |pattern: &'static Regex| text.lines().filter_map(|line| pattern.captures(line));
        let named = |path: &str| {
            directories.iter().fold(path.to_owned(), |path, (directory, name)| {
                path.replace(directory.to_str().unwrap(), name)
            })
        };
        let opened = captures(&OPEN).map(|found| found[1].to_owned());
        let trace = Self {
            connected: captures(&CONNECT).map(|found| format!("{}:{}", &found[2], &found[1])).collect(),
            sockets: captures(&SOCKET).map(|found| format!("{} {}", &found[1], &found[2])).collect(),
            opened: opened.map(|path| named(&path)).collect(),
        };
        // No other call reaches another process by address.
        let calls = text.lines().filter(|line| line.contains(" connect(")).count();
        assert_eq!(trace.connected.len(), calls, "a connection is not to an IP address:\n{text}");
        for call in [" sendmmsg(", " sendto(", " bind("] {
            let line = text.lines().find(|line| line.contains(call) && line.contains("sa_family"));
            assert_eq!(line, None);
        }
        trace
    }

    /// The files that it opened, without those of [`SYSTEM_FILES`].
    fn opened_by_the_program(&self) -> impl Iterator<Item = &str> {
        let is_system_file = |path: &&str| SYSTEM_FILES.iter().any(|prefix| path.starts_with(prefix));
        self.opened.iter().map(String::as_str).filter(move |path| !is_system_file(path))
    }
}

/// Runs a start to its end or, if it is continuous, until it has written its output.
async fn trace_start(fixture: &BotFixture, flags: &[&str]) -> Trace {
    let is_oneshot = flags.contains(&"--oneshot");
    let run = fixture.start(&[flags, &["--pid-file", "pid"]].concat()).with_strace(CALLS);
    let directory = run.path().to_owned();
    let output = fixture.path("out").join("identity");
    // A file that only the next run writes.
    let _ = std::fs::remove_dir_all(fixture.path("out"));
    let running = run.spawn();
    if !is_oneshot {
        wait_until("the output is written", || output.exists()).await;
        let process: i32 = std::fs::read_to_string(directory.join("pid")).unwrap().trim().parse().unwrap();
        let is_done = !flags.contains(&ON);
        wait_until("the event was submitted", || {
            is_done || running.stderr().contains("anonymous telemetry was not sent")
        })
        .await;
        kill_process(Pid::from_raw(process).unwrap(), Signal::TERM).unwrap();
    }
    let finished = tokio::task::block_in_place(|| running.wait());
    assert_eq!(finished.status, Some(0), "{}", finished.stderr);
    let text = std::fs::read_to_string(finished.path().join("trace")).unwrap();
    Trace::parse(&text, &[(finished.path(), "[RUN]"), (fixture.root(), "[BOT]")])
}

/// Returns what a command did that must not use the network.
fn trace_command(run: Run) -> Trace {
    let finished = run.with_strace(CALLS).run();
    assert_eq!(finished.status, Some(0), "{}", finished.stderr);
    Trace::parse(&finished.read_file("trace"), &[(finished.path(), "[RUN]")])
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs strace, and a kernel that permits it"]
async fn a_start_connects_to_the_cluster_and_to_nothing_else_unless_telemetry_is_on() {
    let fixture = BotFixture::new().await;
    let cluster = fixture.cluster.proxy_addr().to_string();
    trace_start(&fixture, &["--oneshot"]).await;
    for mode in [&["--oneshot"][..], &[]] {
        let off = trace_start(&fixture, mode).await;
        assert!(!off.connected.is_empty(), "the agent itself connects");
        assert!(off.connected.iter().all(|address| *address == cluster), "{off:?}");
        assert_eq!(off.sockets, BTreeSet::from(["AF_INET SOCK_STREAM".to_owned()]));
        // The walk to a directory begins at the root.
        let is_own = |path: &str| path.starts_with("[BOT]") || path == "/" || !path.starts_with('/');
        let others: Vec<&str> = off.opened_by_the_program().filter(|path| !is_own(path)).collect();
        assert_eq!(others, [""; 0], "files outside the directories of the bot");

        let on = trace_start(&fixture, &[mode, &[ON]].concat()).await;
        let mut added = on.connected.clone();
        added.retain(|address| *address != cluster);
        assert_eq!(added, [CLOSED_PORT], "one connection, to the configured endpoint");
        assert_eq!(on.sockets, off.sockets);
        assert_eq!(on.opened, off.opened, "telemetry reads and writes no file of its own");
    }
}

#[test]
#[ignore = "needs strace, and a kernel that permits it"]
fn no_other_command_opens_a_socket() {
    let config = "version: v2\nproxy_server: teleport.example.com:443\n\
                  onboarding: {join_method: token, token: a-token}\nanonymous_telemetry_opt_in: CONSENT\n\
                  services: [{type: identity, destination: {type: directory, path: out}}]\n";
    for consent in ["true", "false"] {
        for command in [&["validate"][..], &["telemetry", "preview"], &["telemetry", "status"]] {
            let endpoint = Telemetry::Address("https://does-not-exist.invalid");
            let arguments = match command {
                ["validate"] => vec!["validate", "tbot.yaml"],
                command => [command, &["-c", "tbot.yaml"]].concat(),
            };
            let run = tbot(endpoint, &arguments).file("tbot.yaml", config.replace("CONSENT", consent));
            let trace = trace_command(run);
            assert_eq!((trace.connected.len(), trace.sockets.len()), (0, 0), "{command:?}: {trace:?}");
            let opened: Vec<&str> = trace.opened_by_the_program().collect();
            assert_eq!(opened, ["tbot.yaml"], "{command:?}");
        }
    }
}
