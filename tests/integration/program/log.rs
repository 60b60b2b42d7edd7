//! The log of a whole run: what starts, the join, each output, renewals with their next time, an outage and its end, and the
//! stop.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;
use rustix::process::Signal;
use serde_json::Value;

use super::bot_fixture::BotFixture;
use super::fixture::{FAILING_START, Running, Telemetry, tbot};
use crate::agent::fixture::wait_until;

/// The log of a running program, read in phases whose order is certain.
struct PhasedLog<'a> {
    fixture: &'a BotFixture,
    running: Running,
    /// The number of lines of the earlier phases, which are in `lines`.
    read: usize,
    lines: Vec<String>,
}

impl PhasedLog<'_> {
    /// The complete lines so far.
    fn log(&self) -> String {
        let mut log = self.running.stderr();
        log.truncate(log.rfind('\n').map_or(0, |end| end + 1));
        log
    }

    fn count(&self, part: &str) -> usize {
        self.log().lines().filter(|line| line.contains(part)).count()
    }

    /// Waits until each of the parts is in this many lines.
    async fn wait_for(&self, parts: &[(&str, usize)]) {
        let what = format!("the log contains {parts:?}");
        wait_until(&what, || parts.iter().all(|(part, count)| self.count(part) >= *count)).await;
    }

    /// Waits like [`wait_for`](Self::wait_for), and adds the lines of the phase that ends. The identity and the outputs are
    /// renewed concurrently, so the lines about outputs are moved behind the others, and a failure that was repeated is kept
    /// once.
    async fn until(&mut self, parts: &[(&str, usize)]) {
        self.wait_for(parts).await;
        let log = self.log();
        let lines = log.lines().skip(self.read);
        let mut phase: Vec<String> = lines.map(|line| self.fixture.normalize_log(line)).collect();
        self.read += phase.len();
        phase.sort_by_key(|line| line.contains("output=") || line.contains("service=identity-1"));
        phase.dedup();
        self.lines.append(&mut phase);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_continuous_run_logs_each_phase() {
    let fixture = BotFixture::new().await;
    let running = fixture.start(&[]).spawn();
    let mut log = PhasedLog { fixture: &fixture, running, read: 0, lines: Vec::new() };
    log.until(&[("joined the cluster", 1), ("wrote credentials", 1)]).await;
    for (renewals, signal) in [(1, Signal::HUP), (2, Signal::USR1)] {
        log.running.signal(signal);
        log.until(&[("renewed the bot's identity", renewals), ("wrote credentials", renewals + 1)]).await;
    }
    fixture.cluster.set_down(true);
    log.running.signal(Signal::HUP);
    // An attempt that fails while the cluster comes back belongs to the same phase.
    log.wait_for(&[("service=identity ", 1), ("service=identity-1 ", 1)]).await;
    fixture.cluster.set_down(false);
    log.until(&[("renewed the bot's identity", 3), ("wrote credentials", 4)]).await;
    log.running.signal(Signal::TERM);
    let PhasedLog { running, read, lines, .. } = log;
    let finished = tokio::task::block_in_place(|| running.wait());
    assert_eq!(finished.status, Some(0), "{}", finished.stderr);
    let end = finished.stderr.lines().skip(read).map(|line| fixture.normalize_log(line));
    insta::assert_snapshot!(lines.into_iter().chain(end).collect::<Vec<_>>().join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_oneshot_run_logs_each_phase_as_json() {
    let fixture = BotFixture::new().await;
    let finished = fixture.start(&["--oneshot", "--log-format", "json"]).run_blocking();
    assert_eq!(finished.status, Some(0), "{}", finished.stderr);
    let lines = finished.stderr.lines().map(|line| {
        let mut line: BTreeMap<String, Value> = serde_json::from_str(&fixture.normalize_log(line)).unwrap();
        assert!(line.remove("timestamp").is_some_and(|timestamp| timestamp.is_string()));
        serde_json::to_string(&line).unwrap()
    });
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_host_name_that_does_not_exist_is_reported_in_one_sentence() {
    let mut arguments = FAILING_START;
    arguments[7] = "does-not-exist.invalid:443";
    let finished =
        tbot(Telemetry::Address("https://does-not-exist.invalid"), &arguments).without_proxy().run();
    let [error] = &finished.log_at("ERROR")[..] else { panic!("{}", finished.stderr) };
    static REASON: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"resolved \([^()]+\)").unwrap());
    insta::assert_snapshot!(REASON.replace(error, "resolved ([reason])"));
}
