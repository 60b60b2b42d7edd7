//! The thread that maintains the store, so that no submission waits for it: folds submissions and removes expired data. Depends
//! on the store and the metrics.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::backend::FoldResult;
use super::expiry::{first_open_day, first_retained_day, today_for_ids, today_for_starts};
use super::reopening::{LastAttempt, Messages, ReopeningStore};
use crate::clock::Clock;
use crate::day::Day;
use crate::metrics::Metrics;

/// The longest time that a submission waits to be folded if there are too few for a full batch. Until then, its id is in the same
/// file as its start. Each fold empties the logs, for which writers wait, so folding more often would lower the rate.
pub const MAX_FOLD_DELAY: Duration = Duration::from_secs(4);

/// The nice value of the maintenance thread. On a busy processor it gets about a tenth of a full share; with much less, it
/// would never finish on a busy machine.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// A request to the maintenance thread.
pub(super) enum MaintenanceTask {
    /// Fold within [`MAX_FOLD_DELAY`], because there are new submissions.
    FoldSoon,
    /// Fold now, because there are enough submissions for a full batch.
    FoldNow,
    /// Remove expired ids and, if a number of days is given, all starts that are older.
    RemoveExpired(Option<NonZeroU32>),
    /// Close the store. The next operation opens it again.
    Close,
}

/// The last attempt at each operation of maintenance.
pub(super) struct LastAttempts {
    fold: LastAttempt,
    record_maintenance: LastAttempt,
    forget_ids: LastAttempt,
    remove_starts: LastAttempt,
}

impl Default for LastAttempts {
    fn default() -> Self {
        Self {
            fold: LastAttempt::new(Messages {
                failure: "stored events cannot be counted; this is retried",
                recovery: "stored events are counted again",
            }),
            record_maintenance: LastAttempt::new(Messages {
                failure: "cannot record that the store was maintained today, so no data expires; this is retried every hour",
                recovery: "the days on which the store is maintained are recorded again",
            }),
            forget_ids: LastAttempt::new(Messages {
                failure: "expired ids cannot be removed; this is retried every hour",
                recovery: "expired ids are removed again",
            }),
            remove_starts: LastAttempt::new(Messages {
                failure: "expired starts cannot be removed; this is retried every hour",
                recovery: "expired starts are removed again",
            }),
        }
    }
}

impl LastAttempts {
    fn has_failure(&self) -> bool {
        let all = [&self.fold, &self.record_maintenance, &self.forget_ids, &self.remove_starts];
        all.into_iter().any(LastAttempt::is_failure)
    }
}

/// The state of the maintenance thread.
pub(super) struct Maintenance {
    pub(super) store: ReopeningStore,
    pub(super) last_attempts: LastAttempts,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    /// Whether [`MaintenanceTask::FoldSoon`] was sent since the last fold.
    pub(super) fold_requested: Arc<AtomicBool>,
    /// The maximum size of the store.
    pub(super) max_bytes: u64,
    /// Whether the store has reached its maximum size.
    pub(super) is_full: Arc<AtomicBool>,
    /// When to fold next.
    pub(super) fold_deadline: Option<Instant>,
}

impl Maintenance {
    /// Runs until all senders of tasks are dropped, then folds once more.
    pub(super) fn run(mut self, tasks: &Receiver<MaintenanceTask>) {
        lower_priority();
        loop {
            let task = match self.fold_deadline.map(|by| by.saturating_duration_since(Instant::now())) {
                None => tasks.recv().map_err(RecvTimeoutError::from),
                // An overdue fold goes first, however many tasks are queued.
                Some(Duration::ZERO) => Err(RecvTimeoutError::Timeout),
                Some(left) => tasks.recv_timeout(left),
            };
            match task {
                Ok(MaintenanceTask::FoldSoon) => {
                    self.fold_deadline.get_or_insert_with(|| Instant::now() + MAX_FOLD_DELAY);
                }
                Ok(MaintenanceTask::FoldNow) | Err(RecvTimeoutError::Timeout) => self.fold(),
                Ok(MaintenanceTask::RemoveExpired(retain_days)) => {
                    self.remove_expired(retain_days);
                    self.report_last_attempts();
                }
                Ok(MaintenanceTask::Close) => self.store.close(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.fold();
    }

    fn fold(&mut self) {
        // Reset first: a submission that arrives during the fold may miss it, and must request another one.
        self.fold_requested.store(false, Ordering::Release);
        self.fold_deadline = None;
        let folded = self.last_attempts.fold.record(self.store.run(|store| store.fold()));
        self.report_last_attempts();
        if let Some(FoldResult { repeated, .. }) = folded {
            self.metrics.repeated.inc_by(repeated);
        }
        let is_full = self.measure();
        // While the store is full, no submission requests a fold.
        if is_full || folded.is_none_or(|folded| !folded.is_separated) {
            self.fold_deadline = Some(Instant::now() + MAX_FOLD_DELAY);
        }
    }

    /// Measures the store, and returns true if it is full. If it cannot be measured, nothing changes.
    fn measure(&mut self) -> bool {
        if let Ok(bytes) = self.store.run(|store| store.size()) {
            self.metrics.set_store_bytes(bytes);
            let is_full = bytes >= self.max_bytes;
            if self.is_full.swap(is_full, Ordering::Relaxed) != is_full {
                let max = self.max_bytes;
                if is_full {
                    tracing::warn!(bytes, max, "the store is full; events are rejected");
                } else {
                    tracing::info!(bytes, max, "the store is no longer full");
                }
            }
        }
        self.is_full.load(Ordering::Relaxed)
    }

    fn remove_expired(&mut self, retain_days: Option<NonZeroU32>) {
        let now = (self.clock)();
        let Self { store, last_attempts, .. } = self;
        let maintained = store.run(|store| store.record_maintenance(Day::of(now)));
        let Some(maintained) = last_attempts.record_maintenance.record(maintained) else { return };
        if let Some(today) = today_for_ids(&maintained) {
            let forgotten = store.run(|store| store.forget_ids(today.min(first_open_day(now))));
            last_attempts.forget_ids.record(forgotten);
        }
        if let Some(retain_days) = retain_days
            && let Some(today) = today_for_starts(&maintained)
        {
            let first = first_retained_day(today, retain_days);
            let removed = last_attempts.remove_starts.record(store.run(|store| store.remove_before(first)));
            // Not how many: it would be the exact number of starts of a week.
            if removed.is_some_and(|starts| starts > 0) {
                tracing::info!(before = %first, "removed starts older than the retention period");
            }
        }
    }

    fn report_last_attempts(&self) {
        self.metrics.set_maintenance_up(!self.last_attempts.has_failure());
    }
}

/// Gives the threads that senders wait for precedence over the calling thread.
fn lower_priority() {
    // If the system does not allow it, the thread keeps the same priority. On Linux, `None` means the calling thread.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, NICE);
}
