//! The thread that keeps the store in order, so that who stores never waits for it: folds what arrived, removes what is
//! past its time, and finds out whether the store can be written to. Depends on the store and the metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::oneshot;

use super::writer::Opened;
use crate::clock::Clock;
use crate::day::Day;
use crate::metrics::Metrics;

/// How long a submission waits at most to be folded, where few come.
pub const FOLD_WITHIN: Duration = Duration::from_secs(1);

/// How long after midnight a day counts as over: what was accepted before is stored by then, also by another receiver
/// with a clock of its own.
pub const GRACE: Duration = Duration::from_secs(60 * 60);

/// The day that everything before is over and stored.
pub fn settled_day(now: SystemTime) -> Day {
    Day::of(now.checked_sub(GRACE).unwrap_or(now))
}

/// How much less than the others the keeper gets of a processor that all of them want: about a tenth of a full share. Much
/// less, and on a busy machine it would never get done.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// What the keeper is asked for.
pub(super) enum Chore {
    /// Something arrived.
    Arrived,
    /// Enough arrived to be folded at once.
    Fold,
    /// Ids have to go, and starts of before a day.
    Clean(Option<Day>),
    /// Somebody wants to know whether the store can be written to.
    Probe(oneshot::Sender<bool>),
}

pub(super) struct Keeper {
    pub(super) store: Opened,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    /// Whether it was told that something arrived.
    pub(super) is_told: Arc<AtomicBool>,
    /// When what arrived has to be folded.
    pub(super) fold_by: Option<Instant>,
}

impl Keeper {
    pub(super) fn run(mut self, chores: &Receiver<Chore>) {
        give_way();
        loop {
            let chore = match self.fold_by.map(|by| by.saturating_duration_since(Instant::now())) {
                None => chores.recv().map_err(RecvTimeoutError::from),
                // However much else is asked for.
                Some(Duration::ZERO) => Err(RecvTimeoutError::Timeout),
                Some(left) => chores.recv_timeout(left),
            };
            match chore {
                Ok(Chore::Arrived) => {
                    self.fold_by.get_or_insert_with(|| Instant::now() + FOLD_WITHIN);
                }
                Ok(Chore::Fold) | Err(RecvTimeoutError::Timeout) => self.fold(),
                Ok(Chore::Clean(first)) => self.clean(first),
                Ok(Chore::Probe(answer)) => {
                    // Who asked may have gone away; and that all else fails is not over by this.
                    let _ = answer.send(self.store.run(|store| store.probe()).is_ok());
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.fold();
    }

    fn fold(&mut self) {
        // First: what arrives meanwhile may be too late for it, and is told anew.
        self.is_told.store(false, Ordering::Release);
        self.fold_by = None;
        let folded = self.store.attempt(|store| store.fold());
        self.metrics.keeper_is_up(folded.is_some());
        match folded {
            Some(repeated) => self.metrics.repeated.add(repeated),
            None => self.fold_by = Some(Instant::now() + FOLD_WITHIN),
        }
    }

    fn clean(&mut self, first: Option<Day>) {
        let today = settled_day((self.clock)());
        self.store.attempt(|store| store.forget_ids(today));
        if let Some(first) = first
            && let Some(starts) = self.store.attempt(|store| store.retain(first))
            && starts > 0
        {
            tracing::info!(starts, before = %first, "removed starts that are past their time");
        }
    }
}

/// Lets those go first whom somebody waits for.
fn give_way() {
    // Where the system does not let it, it is as important as they are. For Linux, no process is the calling thread.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, NICE);
}
