//! The rate, the CPU time and the latency of ingest: 32 connections send as fast as they can to one server after the other,
//! in turns. The load comes from this process, on the same processors.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use prehog::load::{Outcome, Plan, drive};
use tokio::runtime::Runtime;

use crate::chart::{self, Bar};
use crate::options::Options;
use crate::print_row;
use crate::server::{NO_STORE, Server};

const CONNECTIONS: u64 = 32;
const ROUNDS: u64 = 7;
/// Events per turn: more than are folded at once, so that folding is a part of every turn.
const EVENTS: u64 = 100_000;
/// Events per turn of the connect-node server, which takes longer.
const PEER_EVENTS: u64 = 30_000;

/// A server, and what was measured in its turns.
struct Contestant {
    name: &'static str,
    server: Server,
    /// Events per turn.
    events: u64,
    /// Events per second of each turn.
    rates: Vec<f64>,
    cpu_before: Duration,
}

impl Contestant {
    /// Warms the server up, so that one-time work, such as growing logs to their final size, does not affect the results.
    fn new(runtime: &Runtime, name: &'static str, server: Server, events: u64) -> Result<Self> {
        load(runtime, &server, 2, events, None)?;
        let cpu_before = server.cpu_time()?;
        Ok(Self { name, server, events, rates: Vec::new(), cpu_before })
    }

    fn take_turn(&mut self, runtime: &Runtime, seed: u64) -> Result<()> {
        self.rates.push(load(runtime, &self.server, seed, self.events, None)?.rate());
        Ok(())
    }

    /// Returns the median of the rates.
    fn rate(&self) -> f64 {
        let mut rates = self.rates.clone();
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    }

    /// Returns the CPU time of the server per event, including what it does between its turns.
    fn cpu_time(&self) -> Result<Duration> {
        let events = self.events * u64::try_from(self.rates.len())?;
        Ok((self.server.cpu_time()? - self.cpu_before) / u32::try_from(events)?)
    }
}

/// Measures ingest, and fails if a bound is exceeded.
pub(crate) fn measure(options: &Options, directory: &Path) -> Result<()> {
    let runtime = &Runtime::new()?;
    let this = std::env::current_exe()?;
    let store = |name| format!("sqlite:{}", directory.join(name).display());
    let server = Server::prehog(&this, &store("ingest.db"))?;
    // One event initialises everything that is initialised lazily.
    load(runtime, &server, 1, 1, None)?;
    let idle = server.resident_bytes()?;
    let mut contestants = vec![
        Contestant::new(runtime, "prehog with SQLite", server, EVENTS)?,
        Contestant::new(runtime, "prehog, no store", Server::prehog(&this, NO_STORE)?, EVENTS)?,
    ];
    if let Some(path) = &options.baseline {
        let server = Server::prehog(path, &store("baseline.db"))?;
        contestants.push(Contestant::new(runtime, "baseline with SQLite", server, EVENTS)?);
    }
    match Server::connect_node()? {
        Some(server) => {
            contestants.push(Contestant::new(runtime, "connect-node", server, PEER_EVENTS)?);
        }
        None => print_row("connect-node", "not installed: npm ci in benches/connect-node")?,
    }
    for round in 0..ROUNDS {
        for contestant in &mut contestants {
            contestant.take_turn(runtime, 100 + round)?;
        }
    }
    print_comparison(&contestants)?;
    if let Some(charts) = &options.charts {
        write_chart(&contestants, charts)?;
    }
    let [with, without, ..] = contestants.as_slice() else { bail!("nothing was measured") };
    let half = load(runtime, &with.server, 999, EVENTS, Some(with.rate() / 2.0))?;
    let p99 = half.permille(990);
    print_row("  p50 at half that load", &format!("{:.1?}", half.permille(500)))?;
    print_row("  p99 at half that load (under 50 ms)", &format!("{p99:.1?}"))?;
    print_row("memory at rest (at most 20 MiB)", &format!("{:.1} MiB", mebibytes(idle)))?;
    let resident = with.server.resident_bytes()?;
    print_row("memory after the load", &format!("{:.1} MiB", mebibytes(resident)))?;
    if with.rate() < without.rate() * 0.4 || p99 >= Duration::from_millis(50) || idle > 20 << 20 {
        bail!("ingest exceeds a bound");
    }
    Ok(())
}

fn load(runtime: &Runtime, server: &Server, seed: u64, events: u64, rate: Option<f64>) -> Result<Outcome> {
    let plan = Plan { address: server.address, connections: CONNECTIONS, events, rate, seed };
    let outcome = runtime.block_on(drive(plan, std::sync::Arc::default()))?;
    ensure!(outcome.failed == 0, "{} events were not stored", outcome.failed);
    Ok(outcome)
}

/// Prints the results, and how the first server compares with each of the others.
fn print_comparison(contestants: &[Contestant]) -> Result<()> {
    let own = contestants.first().context("nothing was measured")?.rate();
    for (index, contestant) in contestants.iter().enumerate() {
        let (rate, cpu_time) = (contestant.rate(), contestant.cpu_time()?);
        let title = format!("JSON, {CONNECTIONS} connections, {}", contestant.name);
        print_row(&title, &format!("{rate:.0} events/s, {cpu_time:.1?} of CPU each"))?;
        if index > 0 {
            print_row("  prehog with SQLite relative to it", &format!("{:.0} %", 100.0 * own / rate))?;
        }
    }
    Ok(())
}

fn write_chart(contestants: &[Contestant], directory: &Path) -> Result<()> {
    let bars: Vec<Bar> = contestants
        .iter()
        .map(|contestant| {
            let value = contestant.rate();
            Bar { name: contestant.name.to_owned(), value, result: format!("{value:.0}") }
        })
        .collect();
    let title = "Events per second over 32 connections (connect-node: without a store)";
    chart::write(directory, "ingest.svg", title, &bars)
}

#[expect(clippy::cast_precision_loss, reason = "for display only, with one decimal place")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / (1 << 20) as f64
}
