//! What the receiver must hold: the rate and latency of durable ingest against the same server without a store, the
//! time of a report over ten million events, and memory at rest. The server is a process of its own; the load comes
//! from this one, on the same cores.
//!
//! `cargo bench -p prehog` prints a table, and fails where a bound does not hold; `-- ingest` and `-- report` measure one
//! part only.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _, stdout};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use prehog::check::Checks;
use prehog::day::Day;
use prehog::ingest::Ingest;
use prehog::load::{Outcome, Plan, drive, submission};
use prehog::metrics::Metrics;
use prehog::report::{Format, Span, make};
use prehog::server::{Connections, Listeners, events};
use prehog::store::{Store, StoreUrl};
use prehog::{Options, serve};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

const CONNECTIONS: u64 = 32;
const ROUNDS: usize = 5;
/// Events of one round.
const EVENTS: u64 = 60_000;
/// How far the report's events go back.
const WEEKS: i32 = 52;

fn main() -> Result<()> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<&str> = arguments.iter().filter_map(|argument| argument.to_str()).collect();
    if let ["--serve", store] = words.as_slice() {
        return Runtime::new()?.block_on(server(store));
    }
    // `cargo test --benches` runs this too, and wants to know no more than that it builds.
    if !words.contains(&"--bench") {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let wanted =
        |name| words.contains(&name) || !words.iter().any(|word| ["ingest", "report"].contains(word));
    let ingest = if wanted("ingest") { ingest(&Runtime::new()?, folder.path()) } else { Ok(()) };
    let report = if wanted("report") { reports(folder.path()) } else { Ok(()) };
    ingest.and(report)
}

/// The server under test; says where it listens.
async fn server(store: &str) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(stdout(), "{}", listener.local_addr()?)?;
    let options = Options { rate_limit: 0, ..Options::new(prehog::clock::system()) };
    if store != "none" {
        let listeners = Listeners { events: listener, report: None, metrics: None };
        return Ok(serve(listeners, store.parse()?, options, std::future::pending()).await?);
    }
    let checks = Checks::new()?;
    let metrics = Arc::new(Metrics::new(checks.reasons()));
    let clock = Arc::clone(&options.clock);
    let ingest = Ingest { checks, writer: None, metrics: Arc::clone(&metrics), clock };
    let router = events(ingest, None, &options);
    let (_stop, stopped) = tokio::sync::watch::channel(());
    Connections::new(&options, metrics).run(listener, router, stopped).await;
    Ok(())
}

struct Served {
    child: Child,
    address: SocketAddr,
}

impl Served {
    fn start(store: &str) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--serve", store])
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the server")?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        let address = line.trim().parse().context("the server does not say where it listens")?;
        Ok(Self { child, address })
    }

    fn resident(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It has ended already, or it ends now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn load(runtime: &Runtime, served: &Served, seed: u64, events: u64, rate: Option<f64>) -> Result<Outcome> {
    let plan = Plan { address: served.address, connections: CONNECTIONS, events, rate, seed };
    let outcome = runtime.block_on(drive(plan, Arc::default()))?;
    ensure!(outcome.failed == 0, "{} events were not stored", outcome.failed);
    Ok(outcome)
}

fn row(what: &str, value: &str) -> Result<()> {
    Ok(writeln!(stdout(), "{what:52} {value:>28}")?)
}

fn ingest(runtime: &Runtime, folder: &Path) -> Result<()> {
    let store = format!("sqlite:{}", folder.join("ingest.db").display());
    let (without, with) = (Served::start("none")?, Served::start(&store)?);
    // One event opens everything that is opened late.
    load(runtime, &with, 1, 1, None)?;
    let idle = with.resident()?;
    // What is done once, such as growing the logs to the size that they keep, is no part of a rate.
    for served in [&without, &with] {
        load(runtime, served, 2, EVENTS, None)?;
    }
    let mut rates = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let seed = 100 + round as u64;
        rates.0.push(load(runtime, &without, seed, EVENTS, None)?.rate());
        rates.1.push(load(runtime, &with, seed, EVENTS, None)?.rate());
    }
    let median = |rates: &mut Vec<f64>| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    let (bare, durable) = (median(&mut rates.0), median(&mut rates.1));
    let half = load(runtime, &with, 999, EVENTS, Some(durable / 2.0))?;
    row("JSON, 32 connections, no store", &format!("{bare:.0} events/s"))?;
    row("JSON, 32 connections, SQLite", &format!("{durable:.0} events/s"))?;
    row("  of that without a store (at least 50 %)", &format!("{:.0} %", 100.0 * durable / bare))?;
    let p99 = half.permille(990);
    row("  at half that load, p50", &format!("{:.1?}", half.permille(500)))?;
    row("  at half that load, p99 (under 50 ms)", &format!("{p99:.1?}"))?;
    row("memory at rest (at most 20 MiB)", &format!("{:.1} MiB", mebibytes(idle)))?;
    row("memory after the load", &format!("{:.1} MiB", mebibytes(with.resident()?)))?;
    if durable < bare / 2.0 || p99 >= Duration::from_millis(50) || idle > 20 << 20 {
        bail!("a bound of ingest does not hold");
    }
    Ok(())
}

fn reports(folder: &Path) -> Result<()> {
    let url = StoreUrl::Sqlite(folder.join("report.db"));
    let mut store = url.open()?;
    let last = Day(20_600).week();
    let span = Span { first: last.plus(1 - WEEKS), last };
    let mut seeded = 0;
    let mut times = Vec::new();
    for events in [0, 1, 100_000, 1_000_000, 10_000_000] {
        seed(&mut *store, span, seeded, events)?;
        seeded = events;
        let time = report(&url, span, events)?;
        row(&format!("report over {events} events"), &format!("{time:.1?}"))?;
        times.push(time);
    }
    let [.., million, ten] = times.as_slice() else { bail!("nothing was measured") };
    // Below a millisecond or so, noise is larger than growth.
    if *ten > Duration::from_secs(2) || *ten > *million * 10 + Duration::from_millis(5) {
        bail!("a bound of reports does not hold");
    }
    Ok(())
}

/// Adds events until there are so many, spread over all days.
fn seed(store: &mut dyn Store, span: Span, from: u64, to: u64) -> Result<()> {
    const BATCH: u64 = 20_000;
    let days: Vec<i32> = (span.first.first().0..=span.last.last().0).collect();
    let each = (to - from).div_ceil(days.len() as u64);
    let mut number = from;
    for day in days {
        let end = (number + each).min(to);
        while number < end {
            let next = (number + BATCH).min(end);
            let batch: Vec<_> = (number..next).map(|number| submission(5, number, Day(day))).collect();
            store.append(&batch)?;
            store.fold()?;
            number = next;
        }
    }
    Ok(())
}

/// The fastest of three, the store opened anew each time as `prehog report` does.
fn report(url: &StoreUrl, span: Span, events: u64) -> Result<Duration> {
    let mut fastest = Duration::MAX;
    for _ in 0..3 {
        let begun = Instant::now();
        let report = make(&mut *url.open()?, span, 10)?;
        let page = report.render(Format::Html);
        fastest = fastest.min(begun.elapsed());
        ensure!(!page.is_empty() && report.starts <= events, "the report is wrong");
        ensure!(events < 1_000_000 || report.starts == events, "the report lacks events");
    }
    Ok(fastest)
}

#[expect(clippy::cast_precision_loss, reason = "for people, with one digit")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / (1 << 20) as f64
}
