//! The script of the week: what happens on each day, and when.

use std::time::Duration;

use tbot_cluster::Phase;

/// Some days, the first of which is a Monday.
pub(super) struct Script {
    pub(super) days: &'static [DayScript],
    /// How often the agent joins without a valid certificate: first, and after each outage that outlasts its certificate.
    pub(super) joins_without_certificate: u32,
}

/// A day, from midnight to midnight.
pub(super) struct DayScript {
    pub(super) name: &'static str,
    /// A summary of the events, for the table of results.
    pub(super) summary: &'static str,
    /// The events, in order.
    pub(super) events: &'static [(TimeOfDay, Event)],
}

/// A time of day, as hours and minutes.
#[derive(Clone, Copy)]
pub(super) struct TimeOfDay(u64, u64);

impl TimeOfDay {
    pub(super) const fn since_midnight(self) -> Duration {
        Duration::from_secs((self.0 * 60 + self.1) * 60)
    }
}

/// Something that happens to the agent, to prehog, to the cluster or to the disk.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    StartAgent,
    /// SIGTERM, then a start.
    RestartAgent,
    /// SIGKILL, then a start.
    KillAgent,
    /// SIGHUP.
    ReloadAgent,
    StartPrehog,
    /// SIGTERM.
    StopPrehog,
    /// SIGTERM, then a start.
    RestartPrehog,
    /// SIGKILL, then a start.
    KillPrehog,
    ClusterGoesDown,
    ClusterComesBack,
    /// The host and the user authority enter this phase.
    Rotate(Phase),
    /// No space is left on the small disk.
    DiskFillsUp,
    DiskHasSpace,
}

const fn at(hour: u64, minute: u64) -> TimeOfDay {
    TimeOfDay(hour, minute)
}

/// A week.
pub(super) const WEEK: Script = Script { days: &WEEK_DAYS, joins_without_certificate: 2 };

/// Two days with a little of everything.
pub(super) const SHORT: Script = Script { days: &SHORT_DAYS, joins_without_certificate: 2 };

const WEEK_DAYS: [DayScript; 7] = [
    DayScript {
        name: "Mon",
        summary: "first start; SIGHUP at noon",
        events: &[
            (at(0, 0), Event::StartPrehog),
            (at(0, 1), Event::StartAgent),
            (at(12, 0), Event::ReloadAgent),
        ],
    },
    DayScript {
        name: "Tue",
        summary: "both programs stop and are killed",
        events: &[
            (at(6, 0), Event::RestartAgent),
            (at(9, 0), Event::RestartPrehog),
            (at(12, 0), Event::KillAgent),
            (at(15, 0), Event::KillPrehog),
            (at(18, 5), Event::KillAgent),
        ],
    },
    DayScript {
        name: "Wed",
        summary: "prehog is down; the agent restarts",
        events: &[
            (at(0, 0), Event::StopPrehog),
            (at(12, 0), Event::RestartAgent),
            (at(23, 55), Event::StartPrehog),
        ],
    },
    DayScript {
        name: "Thu",
        summary: "the cluster is down for 24 hours",
        events: &[(at(0, 0), Event::ClusterGoesDown)],
    },
    DayScript {
        name: "Fri",
        summary: "rotation of the host and user CA",
        events: &[
            (at(0, 0), Event::ClusterComesBack),
            (at(6, 0), Event::Rotate(Phase::Init)),
            (at(10, 0), Event::Rotate(Phase::UpdateClients)),
            (at(14, 0), Event::Rotate(Phase::UpdateServers)),
            (at(18, 0), Event::Rotate(Phase::Standby)),
        ],
    },
    DayScript {
        name: "Sat",
        summary: "the small disk is full for 6 hours",
        events: &[(at(9, 10), Event::DiskFillsUp), (at(15, 10), Event::DiskHasSpace)],
    },
    DayScript {
        name: "Sun",
        summary: "a start while the cluster is down",
        events: &[
            (at(10, 0), Event::ClusterGoesDown),
            (at(10, 10), Event::KillAgent),
            (at(10, 30), Event::ClusterComesBack),
            (at(18, 0), Event::RestartPrehog),
        ],
    },
];

const SHORT_DAYS: [DayScript; 2] = [
    DayScript {
        name: "Mon",
        summary: "restarts, kills, prehog is down",
        events: &[
            (at(0, 0), Event::StartPrehog),
            (at(0, 1), Event::StartAgent),
            (at(4, 0), Event::ReloadAgent),
            (at(6, 0), Event::RestartAgent),
            (at(8, 0), Event::KillPrehog),
            (at(10, 0), Event::KillAgent),
            (at(12, 0), Event::StopPrehog),
            (at(13, 0), Event::RestartAgent),
            (at(14, 0), Event::StartPrehog),
            (at(16, 0), Event::DiskFillsUp),
            (at(20, 0), Event::DiskHasSpace),
        ],
    },
    DayScript {
        name: "Tue",
        summary: "the cluster is down, then a rotation",
        events: &[
            (at(0, 0), Event::ClusterGoesDown),
            (at(13, 0), Event::ClusterComesBack),
            (at(15, 0), Event::Rotate(Phase::Init)),
            (at(17, 0), Event::Rotate(Phase::UpdateClients)),
            (at(19, 0), Event::Rotate(Phase::UpdateServers)),
            (at(21, 0), Event::Rotate(Phase::Standby)),
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_events_of_a_day_are_in_order() {
        for day in WEEK_DAYS.iter().chain(&SHORT_DAYS) {
            let times: Vec<_> = day.events.iter().map(|(time, _)| time.since_midnight()).collect();
            assert!(times.is_sorted(), "{}", day.name);
            assert!(times.iter().all(|time| *time < Duration::from_secs(24 * 60 * 60)), "{}", day.name);
        }
    }
}
