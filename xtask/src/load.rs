//! `cargo xtask load`: drives a running prehog with many simulated agents, or fills a store with weeks of made-up starts
//! for a demo. On loopback only, unless told the address of another receiver.

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use prehog::day::Day;
use prehog::load::{Outcome, Plan, drive, submission};
use prehog::report::Span;
use prehog::store::StoreUrl;

use crate::generate::report;

const USAGE: &str =
    "usage: cargo xtask load [--to 127.0.0.1:8337] [--events 100000] [--connections 32] [--rate N] [--seed N]
       cargo xtask load --fill sqlite:PATH [--events 100000] [--seed N]";

/// Submissions of one batch.
const BATCH: u64 = 4000;
const WIDTH: u64 = 40;

struct Arguments {
    plan: Plan,
    fill: Option<StoreUrl>,
}

/// `cargo xtask load`.
pub(crate) fn load(arguments: &[&str]) -> Result<()> {
    let Arguments { plan, fill } = read(arguments)?;
    if let Some(store) = fill {
        return fill_store(&store, plan);
    }
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let outcome = runtime.block_on(watched(plan))?;
    report(&format!(
        "{} events in {:.1?}: {:.0} a second, {} not stored",
        outcome.stored,
        outcome.elapsed,
        outcome.rate(),
        outcome.failed,
    ));
    let parts = [("50", 500), ("90", 900), ("99", 990), ("99.9", 999), ("100", 1000)];
    let parts: Vec<String> =
        parts.iter().map(|(name, share)| format!("{name} % {:.1?}", outcome.permille(*share))).collect();
    report(&format!("latency: {}", parts.join(", ")));
    if outcome.failed > 0 {
        bail!("{} events were not stored; a server for tests is started with --rate-limit 0", outcome.failed);
    }
    Ok(())
}

fn read(arguments: &[&str]) -> Result<Arguments> {
    let address = SocketAddr::from(([127, 0, 0, 1], 8337));
    let mut plan = Plan { address, connections: 32, events: 100_000, rate: None, seed: 1 };
    let mut fill = None;
    let pairs = arguments.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        bail!("{USAGE}");
    }
    for pair in pairs {
        let [name, value] = *pair else { bail!("{USAGE}") };
        match name {
            "--to" => plan.address = value.parse().context("--to wants an address such as 127.0.0.1:8337")?,
            "--events" => plan.events = value.parse().context("--events wants a number")?,
            "--connections" => plan.connections = value.parse().context("--connections wants a number")?,
            "--rate" => plan.rate = Some(value.parse().context("--rate wants events a second")?),
            "--seed" => plan.seed = value.parse().context("--seed wants a number")?,
            "--fill" => fill = Some(value.parse::<StoreUrl>()?),
            _ => bail!("{USAGE}"),
        }
    }
    Ok(Arguments { plan, fill })
}

async fn watched(plan: Plan) -> Result<Outcome> {
    let done = Arc::new(AtomicU64::new(0));
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    let driven = drive(plan, Arc::clone(&done));
    tokio::pin!(driven);
    loop {
        tokio::select! {
            outcome = &mut driven => {
                show(plan.events, plan.events);
                return outcome.with_context(|| format!("cannot load {}: is prehog serving there?", plan.address));
            }
            _ = ticks.tick() => show(done.load(Ordering::Relaxed), plan.events),
        }
    }
}

fn fill_store(store: &StoreUrl, plan: Plan) -> Result<()> {
    let today = Day::of(prehog::clock::system()());
    let span = Span::finished(today);
    let days: Vec<Day> = (span.first.first().0..=span.last.last().0).map(Day).collect();
    let mut opened = store.open().with_context(|| format!("cannot open {store}"))?;
    let mut number = 0;
    for (day, index) in days.iter().zip(1..) {
        let end = plan.events * index / days.len() as u64;
        while number < end {
            let next = (number + BATCH).min(end);
            let batch: Vec<_> = (number..next).map(|number| submission(plan.seed, number, *day)).collect();
            opened.append(&batch)?;
            number = next;
            show(number, plan.events);
        }
    }
    opened.forget_ids(today)?;
    report(&format!(
        "{number} made-up starts from {} to {} are in {store}",
        span.first.first(),
        span.last.last()
    ));
    Ok(())
}

/// A bar, where somebody sees it.
fn show(done: u64, all: u64) {
    let mut errors = std::io::stderr();
    if !errors.is_terminal() {
        return;
    }
    let filled = usize::try_from(done * WIDTH / all.max(1)).unwrap_or(0);
    let rest = usize::try_from(WIDTH).unwrap_or(0).saturating_sub(filled);
    let end = if done >= all { "\n" } else { "" };
    // Nobody is left to tell where standard error is gone.
    let _ = write!(errors, "\r[{}{}] {done} of {all}{end}", "#".repeat(filled), "-".repeat(rest));
}
