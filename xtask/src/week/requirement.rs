//! The requirements for the whole week, and whether they hold.

use std::collections::BTreeMap;
use std::time::Duration;

/// Something that must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Requirement {
    Valid,
    Consistent,
    Kept,
    Renewals,
    Identity,
    Tunnel,
    Events,
    Usage,
    Log,
    Secrets,
    Stops,
}

impl Requirement {
    const ALL: [Self; 11] = [
        Self::Valid,
        Self::Consistent,
        Self::Kept,
        Self::Renewals,
        Self::Identity,
        Self::Tunnel,
        Self::Events,
        Self::Usage,
        Self::Log,
        Self::Secrets,
        Self::Stops,
    ];

    /// Returns the requirement as a line of the results.
    const fn text(self) -> &'static str {
        match self {
            Self::Valid => "credentials are valid unless an outage outlasts them",
            Self::Consistent => "files belong together and have the current CA",
            Self::Kept => "an outage changes no file",
            Self::Renewals => "renewals per hour are as configured",
            Self::Identity => "the bot is not locked, and joins again once",
            Self::Tunnel => "the tunnel forwards connections",
            Self::Events => "prehog has one event per start that it saw",
            Self::Usage => "memory and descriptors do not grow",
            Self::Log => "the log is as long as it should be",
            Self::Secrets => "no log contains a secret",
            Self::Stops => "programs stop with status 0",
        }
    }
}

/// How often each requirement was checked, and when it did not hold.
#[derive(Default)]
pub(super) struct Results {
    checks: BTreeMap<Requirement, u64>,
    failures: Vec<(Requirement, String)>,
}

/// How many failures of a requirement are shown.
const SHOWN: usize = 5;

impl Results {
    /// Checks a requirement. If it does not hold, notes why.
    pub(super) fn check(
        &mut self,
        requirement: Requirement,
        at: Duration,
        holds: bool,
        why: impl FnOnce() -> String,
    ) {
        *self.checks.entry(requirement).or_default() += 1;
        if !holds {
            self.failures.push((requirement, format!("{}: {}", moment(at), why())));
        }
    }

    pub(super) fn are_good(&self) -> bool {
        self.failures.is_empty() && Requirement::ALL.iter().all(|requirement| self.count(*requirement) > 0)
    }

    /// Returns one line per requirement, and below it the first failures.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for requirement in Requirement::ALL {
            let failures: Vec<_> =
                self.failures.iter().filter(|(of, _)| *of == requirement).map(|(_, why)| why).collect();
            let result = match (self.count(requirement), failures.len()) {
                (0, _) => "NOT CHECKED".to_owned(),
                (count, 0) => format!("holds, {count} checks"),
                (count, failed) => format!("FAILED {failed} of {count}"),
            };
            lines.push(format!("{:<54}{result:>26}", requirement.text()));
            lines.extend(failures.iter().take(SHOWN).map(|why| format!("  {why}")));
        }
        lines
    }

    fn count(&self, requirement: Requirement) -> u64 {
        self.checks.get(&requirement).copied().unwrap_or(0)
    }
}

/// Returns a moment of the week as its day and the time, such as `day 3 07:40:15`.
fn moment(at: Duration) -> String {
    let seconds = at.as_secs();
    let (day, hour, minute) = (seconds / 86_400 + 1, seconds / 3600 % 24, seconds / 60 % 60);
    format!("day {day} {hour:02}:{minute:02}:{:02}", seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requirement_that_is_not_checked_does_not_hold() {
        let mut results = Results::default();
        for requirement in Requirement::ALL {
            assert!(!results.are_good());
            results.check(requirement, Duration::ZERO, true, String::new);
        }
        assert!(results.are_good());
        results.check(Requirement::Valid, Duration::from_secs(90_061), false, || "why".to_owned());
        assert!(!results.are_good());
        assert!(results.lines().contains(&"  day 2 01:01:01: why".to_owned()));
        assert!(results.lines().iter().all(|line| line.len() <= 80));
    }
}
