//! Looks at the outputs, the programs and their logs, and compares them with what the script allows.

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::time::{Duration, SystemTime};

use anyhow::Result;

use super::activity::Usage;
use super::output::{Change, OUTPUTS, OutputSpec, OutputState};
use super::programs::Program;
use super::requirement::{Requirement, Results};
use super::time_units::{DAY, HOUR, MINUTE};
use super::world::{LOGS, SECRET, World};

/// How soon the agent must have done what has become possible: two waits between attempts, each at most a minute, and the work
/// that follows.
const RECOVERY: Duration = Duration::from_secs(5 * 60);
/// The time after the start of an outage from which on nothing changes any more.
const LAST_CHANGE: Duration = Duration::from_secs(30);
/// How much the memory of a program may grow after its first hours.
const MORE_KIB: u64 = 8 << 10;
/// How many more files it may have open: those of the identity, which the agent creates before it requests a renewal and keeps open
/// until it is saved, and some connections.
const MORE_DESCRIPTORS: usize = 16;
/// How often the bot's identity and the certificate of the tunnel are renewed in an hour at most.
const OTHER_RENEWALS: u32 = 4;
/// How many certificates such a renewal requests: one for the identity, and two for the tunnel.
const OTHER_REQUESTS: u32 = 3;
/// How many lines about failures are in the log of a day with an interruption at most.
const MAX_WARNINGS: usize = 200;
/// How many lines are in the log of a day at most that are neither about a failure nor about an output: four renewals of the identity
/// per hour, and what each start, stop and step of a rotation adds.
const MAX_OTHER_LINES: usize = 24 * 4 + 100;

/// Why something cannot be renewed for a while.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    ClusterDown,
    DiskFull,
}

impl Cause {
    fn affects(self, output: &OutputSpec) -> bool {
        self == Self::ClusterDown || output.is_on_small_disk
    }
}

/// The figures of a day.
#[derive(Clone, Copy, Default)]
pub(super) struct DayFigures {
    pub(super) renewals: u32,
    /// How long the output was expired that was expired longest.
    pub(super) longest_gap: Duration,
    pub(super) starts: u64,
    /// The starts that prehog must have seen.
    pub(super) seen_starts: u64,
    pub(super) log_lines: usize,
    pub(super) warnings: usize,
}

/// The observations so far.
pub(super) struct Observer {
    pub(super) results: Results,
    pub(super) today: DayFigures,
    outputs: Vec<OutputState>,
    /// Since when each cause has been in effect, and until when.
    interruptions: Vec<(Cause, Range<Duration>)>,
    /// When something happened after which everything is renewed at once.
    bursts: Vec<Duration>,
    /// Lines of all private keys.
    secrets: BTreeSet<String>,
    last_look: Duration,
    first_start: Option<Duration>,
    /// When an authority entered another phase.
    last_rotation: Duration,
    host_ca: String,
    requests: usize,
    /// The length of the log at midnight.
    log_length: usize,
}

impl Observer {
    pub(super) fn new(world: &World) -> Self {
        let outputs = OUTPUTS.iter().map(|spec| OutputState::new(spec, world.output_directory(spec)));
        Self {
            results: Results::default(),
            today: DayFigures::default(),
            outputs: outputs.collect(),
            interruptions: Vec::new(),
            bursts: Vec::new(),
            secrets: BTreeSet::from([SECRET.to_owned()]),
            last_look: Duration::ZERO,
            first_start: None,
            last_rotation: Duration::ZERO,
            host_ca: world.cluster.authority_pem("host"),
            requests: 0,
            log_length: 0,
        }
    }

    pub(super) fn interruption_begins(&mut self, cause: Cause, at: Duration) {
        self.interruptions.push((cause, at..Duration::MAX));
    }

    pub(super) fn interruption_ends(&mut self, cause: Cause, at: Duration) {
        let open = self.interruptions.iter_mut().filter(|(of, during)| *of == cause && during.contains(&at));
        open.for_each(|(_, during)| during.end = at);
        self.bursts.push(at);
    }

    /// Notes a start of the agent, and whether prehog runs.
    pub(super) fn agent_starts(&mut self, at: Duration, is_seen: bool) {
        self.first_start.get_or_insert(at);
        self.bursts.push(at);
        self.today.starts += 1;
        self.today.seen_starts += u64::from(is_seen);
    }

    pub(super) fn agent_reloads(&mut self, at: Duration) {
        self.bursts.push(at);
    }

    pub(super) fn authorities_rotate(&mut self, world: &World, at: Duration) {
        self.bursts.push(at);
        self.last_rotation = at;
        self.host_ca = world.cluster.authority_pem("host");
    }

    /// Looks at all outputs.
    pub(super) fn look(&mut self, world: &World) {
        let (at, now) = (world.time.elapsed(), world.time.now());
        let passed = at.saturating_sub(self.last_look);
        self.last_look = at;
        for index in 0..self.outputs.len() {
            self.look_at_output(index, passed, at, now);
        }
    }

    fn look_at_output(&mut self, index: usize, passed: Duration, at: Duration, now: SystemTime) {
        let Self { outputs, results, interruptions, .. } = self;
        let output = &mut outputs[index];
        let spec = output.spec;
        let affecting =
            || interruptions.iter().filter(|(cause, _)| cause.affects(spec)).map(|(_, during)| during);
        match output.look() {
            Change::None => {}
            Change::Broken(why) => {
                results.check(Requirement::Consistent, at, false, || format!("{}: {why}", spec.name));
            }
            Change::Renewed => {
                self.today.renewals += 1;
                self.secrets.extend(output.current.as_ref().map(|credentials| credentials.secret.clone()));
                let is_interrupted =
                    affecting().any(|during| during.contains(&at) && at > during.start + LAST_CHANGE);
                results.check(Requirement::Kept, at, !is_interrupted, || format!("{} changed", spec.name));
                results.check(Requirement::Consistent, at, true, String::new);
            }
        }
        let Some(first_start) = self.first_start else { return };
        let is_valid = output.is_valid(now);
        // Its last renewal before the interruption was at most an interval earlier.
        let outlasts = |during: &Range<Duration>| {
            (during.start + spec.ttl - spec.interval..during.end.saturating_add(RECOVERY)).contains(&at)
        };
        let may_be_expired = at < first_start + MINUTE || affecting().any(outlasts);
        results.check(Requirement::Valid, at, is_valid || may_be_expired, || {
            format!("{} is expired", spec.name)
        });
        if !is_valid && at >= first_start + MINUTE {
            output.expired += passed;
            self.today.longest_gap = self.today.longest_gap.max(output.expired);
        }
        let can_be_renewed =
            !affecting().any(|during| (during.start..during.end.saturating_add(RECOVERY)).contains(&at));
        let host_ca = output.current.as_ref().and_then(|credentials| credentials.host_ca.as_ref());
        if let Some(host_ca) = host_ca
            && can_be_renewed
            && at > self.last_rotation + RECOVERY
        {
            let trusts_others = certificates(host_ca).any(|certificate| !self.host_ca.contains(certificate));
            let trusts_current =
                certificates(&self.host_ca).next().is_some_and(|signing| host_ca.contains(signing));
            results.check(Requirement::Consistent, at, trusts_current && !trusts_others, || {
                format!("{} has other authorities than the cluster", spec.name)
            });
        }
    }

    /// Looks at what the last hour has cost.
    ///
    /// # Errors
    ///
    /// Returns an error if a program has ended.
    pub(super) fn hour_ends(&mut self, world: &mut World) -> Result<()> {
        let at = world.time.elapsed();
        let hour = at.saturating_sub(HOUR)..at;
        let touches = |during: &Range<Duration>| {
            during.start < hour.end && hour.start < during.end.saturating_add(RECOVERY)
        };
        // An event at the end of an hour has its effect in the next one.
        let has_effect = |burst: &&Duration| **burst < hour.end && hour.start < **burst + MINUTE;
        let bursts = u32::try_from(self.bursts.iter().filter(has_effect).count())?;
        let mut most_requests = (OTHER_RENEWALS + bursts) * OTHER_REQUESTS;
        for output in &mut self.outputs {
            let (least, most) = output.spec.renewals_per_hour();
            let interruptions = self.interruptions.iter();
            let is_affected = interruptions
                .filter(|(cause, _)| cause.affects(output.spec))
                .any(|(_, during)| touches(during));
            let least = if is_affected || self.first_start.is_none_or(|start| hour.start < start) {
                0
            } else {
                least
            };
            let most = most + bursts;
            most_requests += most * output.spec.requests;
            let count = std::mem::take(&mut output.renewals);
            self.results.check(Requirement::Renewals, at, (least..=most).contains(&count), || {
                format!("{} was renewed {count} times, expected {least} to {most}", output.spec.name)
            });
        }
        let requests = world.certificate_requests();
        let new = u32::try_from(requests - std::mem::replace(&mut self.requests, requests))?;
        self.results.check(Requirement::Renewals, at, new <= most_requests, || {
            format!("{new} certificates were requested, expected {most_requests} at most")
        });
        if !self.interruptions.iter().any(|(cause, during)| *cause == Cause::ClusterDown && touches(during)) {
            let failure = world.use_tunnel().err().map(|error| format!("{error:#}"));
            self.results.check(Requirement::Tunnel, at, failure.is_none(), || failure.unwrap_or_default());
        }
        let World { tbot, prehog, .. } = world;
        for program in tbot.iter_mut().chain(prehog) {
            self.check_usage(program, at)?;
        }
        Ok(())
    }

    fn check_usage(&mut self, program: &mut Program, at: Duration) -> Result<()> {
        // The first hours fill caches.
        if at < program.started + 2 * HOUR {
            return Ok(());
        }
        let usage = Usage::of(program.id())?;
        let baseline = *program.baseline.get_or_insert(usage);
        let holds = usage.resident_kib <= baseline.resident_kib + MORE_KIB
            && usage.descriptors <= baseline.descriptors + MORE_DESCRIPTORS;
        self.results.check(Requirement::Usage, at, holds, || {
            format!("{}: {usage}, at first {baseline}", program.name())
        });
        Ok(())
    }

    /// Looks at the log of the day, and returns the figures of the day.
    ///
    /// # Errors
    ///
    /// Returns an error if the log cannot be read.
    pub(super) fn day_ends(&mut self, world: &World) -> Result<DayFigures> {
        let at = world.time.elapsed();
        let log = fs::read_to_string(world.path("tbot.log"))?;
        let lines: Vec<&str> = log[self.log_length..].lines().collect();
        self.log_length = log.len();
        let mut today = std::mem::take(&mut self.today);
        today.log_lines = lines.len();
        today.warnings =
            lines.iter().filter(|line| line.contains(" WARN ") || line.contains(" ERROR ")).count();
        self.outputs.iter_mut().for_each(|output| output.expired = Duration::ZERO);
        let midnight = at.saturating_sub(DAY);
        let is_interrupted =
            self.interruptions.iter().any(|(_, during)| during.start < at && midnight < during.end);
        // A start that prehog does not see logs a warning.
        let unseen = usize::try_from(today.starts - today.seen_starts)?;
        let most = if is_interrupted { MAX_WARNINGS } else { unseen };
        self.results.check(Requirement::Log, at, today.warnings <= most, || {
            format!("{} lines about failures, expected {most} at most", today.warnings)
        });
        let most = today.renewals as usize + today.warnings + MAX_OTHER_LINES;
        self.results.check(Requirement::Log, at, today.log_lines <= most, || {
            format!("{} lines, expected {most} at most", today.log_lines)
        });
        Ok(today)
    }

    /// Compares the starts of each day that prehog must have seen with what it has counted.
    ///
    /// # Errors
    ///
    /// Returns an error if prehog's store cannot be read.
    pub(super) fn check_events(&mut self, world: &World, starts: &[(String, u64)]) -> Result<()> {
        let at = world.time.elapsed();
        let exported = world.exported_starts()?;
        for (day, expected) in starts {
            let found: u64 = exported.iter().filter(|(of, _)| of == day).map(|(_, starts)| starts).sum();
            self.results.check(Requirement::Events, at, found == *expected, || {
                format!("{found} events of {day}, expected {expected}")
            });
        }
        let total = |days: &[(String, u64)]| days.iter().map(|(_, starts)| starts).sum::<u64>();
        let (found, expected) = (total(&exported), total(starts));
        self.results.check(Requirement::Events, at, found == expected, || {
            format!("{found} events in all, expected {expected}")
        });
        Ok(())
    }

    /// Checks what the cluster knows about the bot.
    ///
    /// # Errors
    ///
    /// Returns an error if the cluster does not know it.
    pub(super) fn check_identity(&mut self, world: &World, joins_without_certificate: u32) -> Result<()> {
        let token = world.token()?;
        let holds = !token.is_locked && token.recovery_count == joins_without_certificate;
        self.results.check(Requirement::Identity, world.time.elapsed(), holds, || {
            format!("locked: {}, joins without a certificate: {}", token.is_locked, token.recovery_count)
        });
        Ok(())
    }

    /// Looks for secrets in the logs.
    ///
    /// # Errors
    ///
    /// Returns an error if a log cannot be read.
    pub(super) fn check_secrets(&mut self, world: &World) -> Result<()> {
        for name in LOGS {
            let log = fs::read_to_string(world.path(name))?;
            let found = self.secrets.iter().filter(|secret| log.contains(secret.as_str())).count();
            self.results.check(Requirement::Secrets, world.time.elapsed(), found == 0, || {
                format!("{found} secrets in {name}")
            });
        }
        Ok(())
    }
}

/// Returns the certificates in PEM of some authorities. The one that signs comes first.
fn certificates(pem: &str) -> impl Iterator<Item = &str> {
    pem.split_inclusive("-----END CERTIFICATE-----\n")
}
