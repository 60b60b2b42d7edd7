//! The performance bounds of the receiver: the rate and latency of durable ingest compared with the same server without a
//! store, the time of a report over ten million events, and memory at rest. The server is a separate process; the load
//! comes from this one, on the same cores.
//!
//! `cargo bench -p prehog` prints a table and fails if a bound is exceeded; `-- ingest` and `-- report` measure only one
//! part.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _, stdout};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use prehog::day::Day;
use prehog::ingest::Ingest;
use prehog::load::{Agents, Outcome, Plan, drive};
use prehog::metrics::Metrics;
use prehog::report::{Format, Report, WeekRange};
use prehog::server::{Connections, Listeners, event_routes};
use prehog::store::{Store, StoreUrl};
use prehog::validation::EventValidator;
use prehog::{Options, serve};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

const CONNECTIONS: u64 = 32;
const ROUNDS: usize = 5;
/// Events per round.
const EVENTS: u64 = 60_000;
/// The number of weeks over which the events of the report are spread.
const WEEKS: i32 = 52;

fn main() -> Result<()> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<&str> = arguments.iter().filter_map(|argument| argument.to_str()).collect();
    if let ["--serve", store] = words.as_slice() {
        return Runtime::new()?.block_on(server(store));
    }
    // `cargo test --benches` runs this, too, and must not measure anything.
    if !words.contains(&"--bench") {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let is_selected =
        |name| words.contains(&name) || !words.iter().any(|word| ["ingest", "report"].contains(word));
    let ingest = if is_selected("ingest") { ingest(&Runtime::new()?, directory.path()) } else { Ok(()) };
    let report = if is_selected("report") { reports(directory.path()) } else { Ok(()) };
    ingest.and(report)
}

/// Runs the server under test, which prints its address.
async fn server(store: &str) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(stdout(), "{}", listener.local_addr()?)?;
    let options = Options { rate_limit: 0, ..Options::new(prehog::clock::system()) };
    if store != "none" {
        let listeners = Listeners { events: listener, report: None, metrics: None };
        return Ok(serve(listeners, store.parse()?, options, std::future::pending()).await?);
    }
    let validator = EventValidator::new()?;
    let metrics = Arc::new(Metrics::new(validator.reasons()));
    let clock = Arc::clone(&options.clock);
    let ingest = Ingest { validator, writer: None, metrics: Arc::clone(&metrics), clock };
    let router = event_routes(ingest, None, &options);
    let (_stop, stopped) = tokio::sync::watch::channel(());
    Connections::new(&options, metrics).run(listener, router, stopped).await;
    Ok(())
}

struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(store: &str) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--serve", store])
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the server")?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        let address = line.trim().parse().context("the server did not print its address")?;
        Ok(Self { child, address })
    }

    fn resident_bytes(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only if it has already exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn load(runtime: &Runtime, server: &Server, seed: u64, events: u64, rate: Option<f64>) -> Result<Outcome> {
    let plan = Plan { address: server.address, connections: CONNECTIONS, events, rate, seed };
    let outcome = runtime.block_on(drive(plan, Arc::default()))?;
    ensure!(outcome.failed == 0, "{} events were not stored", outcome.failed);
    Ok(outcome)
}

fn print_row(what: &str, value: &str) -> Result<()> {
    Ok(writeln!(stdout(), "{what:52} {value:>28}")?)
}

fn ingest(runtime: &Runtime, directory: &Path) -> Result<()> {
    let store = format!("sqlite:{}", directory.join("ingest.db").display());
    let (without, with) = (Server::start("none")?, Server::start(&store)?);
    // One event initialises everything that is initialised lazily.
    load(runtime, &with, 1, 1, None)?;
    let idle = with.resident_bytes()?;
    // A warm-up, so that one-time work, such as growing the logs to their final size, does not affect the rates.
    for server in [&without, &with] {
        load(runtime, server, 2, EVENTS, None)?;
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
    print_row("JSON, 32 connections, no store", &format!("{bare:.0} events/s"))?;
    print_row("JSON, 32 connections, SQLite", &format!("{durable:.0} events/s"))?;
    print_row("  relative to no store (at least 50 %)", &format!("{:.0} %", 100.0 * durable / bare))?;
    let p99 = half.permille(990);
    print_row("  p50 at half that load", &format!("{:.1?}", half.permille(500)))?;
    print_row("  p99 at half that load (under 50 ms)", &format!("{p99:.1?}"))?;
    print_row("memory at rest (at most 20 MiB)", &format!("{:.1} MiB", mebibytes(idle)))?;
    print_row("memory after the load", &format!("{:.1} MiB", mebibytes(with.resident_bytes()?)))?;
    if durable < bare / 2.0 || p99 >= Duration::from_millis(50) || idle > 20 << 20 {
        bail!("ingest exceeds a bound");
    }
    Ok(())
}

fn reports(directory: &Path) -> Result<()> {
    let url = StoreUrl::Sqlite(directory.join("report.db"));
    let mut store = url.open()?;
    let last = Day(20_600).week();
    let weeks = WeekRange { first: last.plus(1 - WEEKS), last };
    let mut seeded = 0;
    let mut times = Vec::new();
    for events in [0, 1, 100_000, 1_000_000, 10_000_000] {
        seed(&mut *store, weeks, seeded, events)?;
        seeded = events;
        let time = report(&url, weeks, events)?;
        print_row(&format!("report over {events} events"), &format!("{time:.1?}"))?;
        times.push(time);
    }
    let [.., one_million, ten_million] = times.as_slice() else { bail!("nothing was measured") };
    // The absolute term allows for noise, which is larger than growth below about a millisecond.
    if *ten_million > Duration::from_secs(2) || *ten_million > *one_million * 10 + Duration::from_millis(5) {
        bail!("reports exceed a bound");
    }
    Ok(())
}

/// Adds the events with numbers from `from` to `to`, spread over all days.
fn seed(store: &mut dyn Store, weeks: WeekRange, from: u64, to: u64) -> Result<()> {
    const BATCH: u64 = 20_000;
    let days: Vec<Day> = weeks.days().collect();
    let each = (to - from).div_ceil(days.len() as u64);
    let agents = Agents::new(5)?;
    let mut number = from;
    for day in days {
        let end = (number + each).min(to);
        while number < end {
            let next = (number + BATCH).min(end);
            let batch: Vec<_> = (number..next).map(|number| agents.submission(number, day)).collect();
            store.append(&batch)?;
            store.fold()?;
            number = next;
        }
    }
    Ok(())
}

/// Returns the fastest of three runs. Each opens the store anew, as `prehog report` does.
fn report(url: &StoreUrl, weeks: WeekRange, events: u64) -> Result<Duration> {
    let mut fastest = Duration::MAX;
    for _ in 0..3 {
        let started = Instant::now();
        let report = Report::from_store(&mut *url.open()?, weeks, 10)?;
        let page = report.render(Format::Html);
        fastest = fastest.min(started.elapsed());
        ensure!(!page.is_empty() && report.starts <= events, "the report is wrong");
        ensure!(events < 1_000_000 || report.starts == events, "events are missing from the report");
    }
    Ok(fastest)
}

#[expect(clippy::cast_precision_loss, reason = "for display only, with one decimal place")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / (1 << 20) as f64
}
