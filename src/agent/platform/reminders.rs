//! Decides how often a problem that lasts is logged: once when it begins, then at growing intervals, so that the log
//! neither fills up nor falls silent.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use super::lock::lock;
use super::{Clock, Rounded};

/// A problem is mentioned again when it has lasted this long, then each time it has lasted twice as long, and at least once in
/// [`MAX_INTERVAL`].
const FIRST_REMINDER: Duration = Duration::from_secs(5 * 60);
/// The longest time between two reminders.
const MAX_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
/// The number of distinct warnings that are remembered, so that a warning whose text always differs does not fill the
/// memory and the log.
const MAX_WARNINGS: usize = 256;
/// A warning that has not been logged for this long can be forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(2 * 60 * 60);

/// A problem that lasts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OngoingProblem {
    began: SystemTime,
    reminder_due: SystemTime,
}

impl OngoingProblem {
    pub(crate) fn begin(now: SystemTime) -> Self {
        Self { began: now, reminder_due: now + FIRST_REMINDER }
    }

    /// Returns how long the problem has lasted.
    pub(crate) fn duration(&self, now: SystemTime) -> Duration {
        now.duration_since(self.began).unwrap_or_default()
    }

    /// Returns how long the problem has lasted if it is time to mention it again. `None` until the next reminder is
    /// due. If the clock has been set back, the problem begins anew, because its reminder would be too late.
    pub(crate) fn reminder(&mut self, now: SystemTime) -> Option<Duration> {
        if now < self.began {
            *self = Self::begin(now);
        }
        if now < self.reminder_due {
            return None;
        }
        let duration = self.duration(now);
        self.reminder_due = now + duration.clamp(FIRST_REMINDER, MAX_INTERVAL);
        Some(duration)
    }
}

/// Logs warnings about conditions that are found again at every renewal: each distinct warning once, then at debug, and
/// as a warning again at growing intervals. Clones share what was logged.
#[derive(Clone, Debug)]
pub(crate) struct RecurringWarnings {
    clock: Clock,
    /// By the subject and the text of the warning.
    logged: Arc<Mutex<BTreeMap<(String, String), LoggedWarning>>>,
}

#[derive(Debug)]
struct LoggedWarning {
    problem: OngoingProblem,
    latest: SystemTime,
}

impl RecurringWarnings {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, logged: Arc::default() }
    }

    /// Logs a warning about the output or service `subject`.
    pub(crate) fn warn(&self, subject: &str, warning: impl Display) {
        let warning = warning.to_string();
        let now = self.clock.now();
        let mut logged = lock(&self.logged);
        let key = (subject.to_owned(), warning.clone());
        if logged.len() >= MAX_WARNINGS && !logged.contains_key(&key) {
            // The clock may have been set back since.
            logged.retain(|_, logged| logged.latest <= now && now < logged.latest + FORGOTTEN_AFTER);
        }
        if let Some(logged) = logged.get_mut(&key) {
            logged.latest = now;
            match logged.problem.reminder(now) {
                Some(since) => {
                    tracing::warn!(service = subject, "{warning} (first logged {} ago)", Rounded(since));
                }
                None => tracing::debug!(service = subject, "{warning}"),
            }
        } else if logged.len() < MAX_WARNINGS {
            tracing::warn!(service = subject, "{warning}");
            logged.insert(key, LoggedWarning { problem: OngoingProblem::begin(now), latest: now });
        } else {
            tracing::debug!(service = subject, "{warning}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reminders_come_at_growing_intervals() {
        let start = SystemTime::UNIX_EPOCH;
        let mut problem = OngoingProblem::begin(start);
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let reminders: Vec<u64> = (0..5 * 24 * 60)
            .filter_map(|minute| problem.reminder(start + minutes(minute)))
            .map(|lasted| lasted.as_secs() / 60)
            .collect();
        assert_eq!(reminders, [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 4000, 5440, 6880]);
    }

    #[test]
    fn warnings_that_are_over_make_room_for_others() {
        let now = Arc::new(Mutex::new(SystemTime::UNIX_EPOCH));
        let clock = Clock::from_fn({
            let now = Arc::clone(&now);
            move || *lock(&now)
        });
        let warnings = RecurringWarnings::new(clock);
        let is_remembered =
            |text: &str| lock(&warnings.logged).contains_key(&("a".to_owned(), text.to_owned()));
        for index in 0..MAX_WARNINGS {
            warnings.warn("a", index);
        }
        warnings.warn("a", "one too many");
        assert!(!is_remembered("one too many"));
        *lock(&now) += FORGOTTEN_AFTER / 2;
        warnings.warn("a", 7);
        *lock(&now) += FORGOTTEN_AFTER / 2;
        warnings.warn("a", "new");
        assert_eq!(["new", "7", "8"].map(is_remembered), [true, true, false]);
    }

    #[test]
    fn a_clock_that_is_set_back_neither_causes_a_reminder_nor_prevents_the_next() {
        let fast = SystemTime::UNIX_EPOCH + 2 * MAX_INTERVAL;
        let mut problem = OngoingProblem::begin(fast);
        let correct = fast - MAX_INTERVAL;
        assert_eq!(problem.duration(correct), Duration::ZERO);
        assert_eq!(problem.reminder(correct), None);
        assert_eq!(problem.reminder(correct + FIRST_REMINDER), Some(FIRST_REMINDER));
    }
}
