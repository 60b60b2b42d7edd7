//! `cargo xtask week`: a week of operation of `tbot` and `prehog` in some minutes, with restarts, rotations, outages and a full disk.

mod activity;
mod credentials;
mod observer;
mod output;
mod programs;
mod requirement;
mod script;
mod simulated_time;
mod small_disk;
mod time_units;
mod world;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use prehog::day::Day;
use tokio::runtime::Runtime;
use xtask_launcher::{bold, print_line};

use crate::interrupt::{Interrupt, Interrupted};
use observer::{Cause, DayFigures, Observer};
use programs::Program;
use requirement::Requirement;
use script::{DayScript, Event, SHORT, Script, WEEK};
use simulated_time::LEAP;
use time_units::{DAY, HOUR};
use world::World;

/// Runs the week, and prints a table of its days and of what held.
///
/// # Errors
///
/// Returns an error if something did not hold, or if the week cannot be run.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let script = match arguments {
        [] => WEEK,
        ["--short"] => SHORT,
        _ => bail!("unexpected arguments; run `cargo xtask week --help`"),
    };
    let runtime = Runtime::new().context("cannot start the async runtime")?;
    let interrupt = Interrupt::catch(&runtime)?;
    let started = Instant::now();
    let mut world = World::create()?;
    let observer = Observer::new(&world);
    let mut week = SimulatedWeek { world: &mut world, observer, interrupt: &interrupt, hours: 0 };
    let outcome = week.run(&script);
    if outcome.as_ref().is_err_and(|error| error.is::<Interrupted>()) {
        return outcome;
    }
    let results = week.observer.results;
    print_line("");
    results.lines().iter().for_each(|line| print_line(line));
    print_line(&format!("figure: {} days in {} s", script.days.len(), started.elapsed().as_secs()));
    if outcome.is_err() || !results.are_good() {
        print_line(&format!("The logs are in {}", world.keep_logs()?.display()));
    }
    outcome?;
    if !results.are_good() {
        bail!("the simulated week violated a requirement");
    }
    Ok(())
}

/// The week while it passes.
struct SimulatedWeek<'a> {
    world: &'a mut World,
    observer: Observer,
    interrupt: &'a Interrupt,
    /// How many hours have passed.
    hours: u32,
}

impl SimulatedWeek<'_> {
    fn run(&mut self, script: &Script) -> Result<()> {
        let mut days = Vec::new();
        print_line(&bold(&row("DAY", "WHAT HAPPENS", ["RENEWALS", "GAP", "STARTS", "EVENTS", "LOG"])));
        for (number, day) in (0..).zip(script.days) {
            let figures = self.run_day(number, day)?;
            print_line(&figures_row(day, &figures));
            days.push(figures);
        }
        self.end(script, &days)
    }

    fn run_day(&mut self, number: u32, day: &DayScript) -> Result<DayFigures> {
        let midnight = DAY * number;
        for (time, event) in day.events {
            self.pass_until(midnight + time.since_midnight())?;
            self.perform(*event).with_context(|| format!("{}: {event:?}", day.name))?;
            self.world.settle()?;
            self.observer.look(self.world);
        }
        self.pass_until(midnight + DAY)?;
        self.observer.day_ends(self.world)
    }

    /// Lets the time pass.
    fn pass_until(&mut self, end: Duration) -> Result<()> {
        loop {
            let hour = HOUR * (self.hours + 1);
            let next = hour.min(end);
            let left = next.saturating_sub(self.world.time.elapsed());
            if left.as_secs() > 0 {
                self.interrupt.check()?;
                self.world.leap(left.min(LEAP))?;
                self.observer.look(self.world);
                continue;
            }
            if next == hour {
                self.hours += 1;
                self.observer.hour_ends(self.world)?;
            }
            if next == end {
                return Ok(());
            }
        }
    }

    fn perform(&mut self, event: Event) -> Result<()> {
        let at = self.world.time.elapsed();
        let Self { world, observer, .. } = self;
        match event {
            Event::StartAgent => self.start_agent()?,
            Event::RestartAgent => {
                let tbot = world.tbot.take();
                self.terminate(tbot)?;
                self.start_agent()?;
            }
            Event::KillAgent => {
                drop(world.tbot.take());
                self.start_agent()?;
            }
            Event::ReloadAgent => {
                world.reload_agent()?;
                observer.agent_reloads(at);
            }
            Event::StartPrehog => world.start_prehog()?,
            Event::StopPrehog => {
                let prehog = world.prehog.take();
                self.terminate(prehog)?;
            }
            Event::RestartPrehog => {
                let prehog = world.prehog.take();
                self.terminate(prehog)?;
                self.world.start_prehog()?;
            }
            Event::KillPrehog => {
                drop(world.prehog.take());
                world.start_prehog()?;
            }
            Event::ClusterGoesDown => {
                world.cluster.set_down(true);
                observer.interruption_begins(Cause::ClusterDown, at);
            }
            Event::ClusterComesBack => {
                world.cluster.set_down(false);
                observer.interruption_ends(Cause::ClusterDown, at);
            }
            Event::Rotate(phase) => {
                world.rotate(phase)?;
                observer.authorities_rotate(world, at);
            }
            Event::DiskFillsUp => {
                world.small_disk().fill()?;
                observer.interruption_begins(Cause::DiskFull, at);
            }
            Event::DiskHasSpace => {
                world.small_disk().free()?;
                observer.interruption_ends(Cause::DiskFull, at);
            }
        }
        Ok(())
    }

    fn start_agent(&mut self) -> Result<()> {
        self.world.start_agent()?;
        self.observer.agent_starts(self.world.time.elapsed(), self.world.prehog.is_some());
        Ok(())
    }

    fn terminate(&mut self, program: Option<Program>) -> Result<()> {
        let program = program.context("the program does not run")?;
        let (name, at) = (program.name(), self.world.time.elapsed());
        let status = program.terminate()?;
        self.observer
            .results
            .check(Requirement::Stops, at, status == Some(0), || format!("{name} ended with {status:?}"));
        Ok(())
    }

    /// Stops the programs, and looks at what is left.
    fn end(&mut self, script: &Script, days: &[DayFigures]) -> Result<()> {
        for program in [self.world.tbot.take(), self.world.prehog.take()] {
            self.terminate(program)?;
        }
        let first = Day::of(self.world.time.first_midnight());
        let starts = (0..).zip(days).map(|(number, day)| (first.plus(number).to_string(), day.seen_starts));
        self.observer.check_events(self.world, &starts.collect::<Vec<_>>())?;
        self.observer.check_identity(self.world, script.joins_without_certificate)?;
        self.observer.check_secrets(self.world)
    }
}

fn figures_row(day: &DayScript, figures: &DayFigures) -> String {
    let minutes = figures.longest_gap.as_secs() / 60;
    let gap = if minutes == 0 { "none".to_owned() } else { format!("{}h{:02}m", minutes / 60, minutes % 60) };
    let DayFigures { renewals, starts, seen_starts, log_lines, .. } = figures;
    let numbers = [u64::from(*renewals), *starts, *seen_starts, *log_lines as u64].map(|n| n.to_string());
    let [renewals, starts, seen, lines] = &numbers;
    row(day.name, day.summary, [renewals, &gap, starts, seen, lines])
}

fn row(day: &str, summary: &str, [renewals, gap, starts, events, log]: [&str; 5]) -> String {
    format!("{day:<4}{summary:<36}{renewals:>9}{gap:>8}{starts:>8}{events:>8}{log:>7}")
}
