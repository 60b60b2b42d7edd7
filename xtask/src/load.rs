//! `cargo xtask load`: sends simulated events to a running prehog, or fills a store with weeks of sample data.
//!
//! Connects to loopback unless `--to` names another receiver.

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use prehog::day::Day;
use prehog::load::{Agents, Outcome, Plan, drive};
use prehog::report::WeekRange;
use prehog::store::StoreUrl;

use xtask_launcher::print_line;

const USAGE: &str = "unexpected arguments; run `cargo xtask load --help`";

/// Number of submissions that are appended to a store at once.
const BATCH_SIZE: u64 = 4000;
/// Width of the progress bar in characters.
const BAR_WIDTH: u64 = 40;

struct Arguments {
    plan: Plan,
    /// The store to fill, instead of sending events to a receiver.
    fill: Option<StoreUrl>,
}

pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let Arguments { plan, fill } = parse(arguments)?;
    if let Some(store) = fill {
        return fill_store(&store, plan);
    }
    let runtime = tokio::runtime::Runtime::new().context("cannot start the async runtime")?;
    let outcome = runtime.block_on(drive_with_progress(plan))?;
    print_line(&format!(
        "{} events in {:.1?}: {:.0} per second, {} not stored",
        outcome.stored,
        outcome.elapsed,
        outcome.rate(),
        outcome.failed,
    ));
    let percentiles = [("p50", 500), ("p90", 900), ("p99", 990), ("p99.9", 999), ("max", 1000)];
    let latencies = percentiles.map(|(name, share)| format!("{name} {:.1?}", outcome.permille(share)));
    print_line(&format!("latency: {}", latencies.join(", ")));
    if outcome.failed > 0 {
        bail!("{} events were not stored; start prehog with --rate-limit 0", outcome.failed);
    }
    Ok(())
}

fn parse(arguments: &[&str]) -> Result<Arguments> {
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
            "--to" => plan.address = value.parse().context("--to must be an IP address and a port")?,
            "--events" => plan.events = value.parse().context("--events must be a number")?,
            "--connections" => plan.connections = value.parse().context("--connections must be a number")?,
            "--rate" => plan.rate = Some(value.parse().context("--rate must be a number")?),
            "--seed" => plan.seed = value.parse().context("--seed must be a number")?,
            "--fill" => fill = Some(value.parse::<StoreUrl>()?),
            _ => bail!("{USAGE}"),
        }
    }
    Ok(Arguments { plan, fill })
}

async fn drive_with_progress(plan: Plan) -> Result<Outcome> {
    let done = Arc::new(AtomicU64::new(0));
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    let run = drive(plan, Arc::clone(&done));
    tokio::pin!(run);
    loop {
        tokio::select! {
            outcome = &mut run => {
                print_progress(plan.events, plan.events);
                return outcome
                    .with_context(|| format!("cannot send events to {}; is prehog running there?", plan.address));
            }
            _ = ticks.tick() => print_progress(done.load(Ordering::Relaxed), plan.events),
        }
    }
}

fn fill_store(store: &StoreUrl, plan: Plan) -> Result<()> {
    let today = Day::of(prehog::clock::system()());
    let weeks = WeekRange::last_complete(today);
    let days: Vec<Day> = weeks.days().collect();
    let mut writer = store.open().with_context(|| format!("cannot open {store}"))?;
    let agents = Agents::new(plan.seed)?;
    let mut number = 0;
    for (day, end) in days.iter().zip(ends_of_days(plan.events, days.len() as u64)) {
        while number < end {
            let next = (number + BATCH_SIZE).min(end);
            let batch: Vec<_> = (number..next).map(|number| agents.submission(number, *day)).collect();
            writer.append(&batch)?;
            number = next;
            print_progress(number, plan.events);
        }
    }
    writer.forget_ids(today)?;
    print_line(&format!(
        "added {number} sample starts from {} to {} to {store}",
        weeks.first.first_day(),
        weeks.last.last_day()
    ));
    Ok(())
}

/// Distributes events over days, and returns how many there are until the end of each day. A week starts on Monday; there are
/// fewer events at weekends, and more from week to week.
fn ends_of_days(events: u64, days: u64) -> Vec<u64> {
    let weight = |day: u64| (20 + day / 7) * if day % 7 < 5 { 3 } else { 1 };
    let total: u64 = (0..days).map(weight).sum();
    let sums = (0..days).scan(0, |sum, day| {
        *sum += weight(day);
        Some(*sum)
    });
    sums.map(|sum| events * sum / total).collect()
}

/// Prints a progress bar if standard error is a terminal.
fn print_progress(done: u64, total: u64) {
    let mut stderr = std::io::stderr();
    if !stderr.is_terminal() {
        return;
    }
    let filled = usize::try_from(done * BAR_WIDTH / total.max(1)).unwrap_or(0);
    let rest = usize::try_from(BAR_WIDTH).unwrap_or(0).saturating_sub(filled);
    let end = if done >= total { "\n" } else { "" };
    // If standard error is closed, there is nowhere to report it.
    let _ = write!(stderr, "\r[{}{}] {done} of {total}{end}", "#".repeat(filled), "-".repeat(rest));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_events_are_distributed_and_most_on_working_days() {
        let ends = ends_of_days(10_000, 14);
        assert_eq!(ends.last(), Some(&10_000));
        let count = |day: usize| ends[day] - ends[day - 1];
        assert!(count(4) > 2 * count(5));
        assert!(count(8) > count(1));
    }
}
