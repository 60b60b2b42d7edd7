//! What a server does by itself: forgets ids, removes what is past its time, and finds out whether the store answers.
//! Depends on the store's writer.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, MissedTickBehavior};

use super::Options;
use crate::day::Day;
use crate::store::Writer;

/// How often what is past its time is removed.
pub const EVERY: Duration = Duration::from_secs(60 * 60);
/// For how long an answer of the store is good.
const FRESH: Duration = Duration::from_secs(1);
/// How long the store may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// The first day that is kept, where starts are kept for that many days: a week goes as a whole, and before any day of
/// it is older than that, so that no report differs from an earlier one by a part of a week.
pub fn first_kept(today: Day, days: NonZeroU32) -> Day {
    let oldest = today.plus(i32::try_from(days.get()).map_or(i32::MIN, |days| -days));
    let week = oldest.week();
    if week.first() == oldest { oldest } else { week.plus(1).first() }
}

pub(super) async fn keep(writer: Writer, options: Options, mut stop: watch::Receiver<()>) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stop.changed() => return,
        }
        writer.clean(options.retain_days.map(|days| first_kept(Day::of((options.clock)()), days)));
    }
}

/// Whether the store answers; asked at most once a second, however often somebody wants to know.
#[derive(Clone)]
pub(super) struct Readiness {
    writer: Option<Writer>,
    last: Arc<Mutex<Option<(Instant, bool)>>>,
}

impl Readiness {
    pub(super) fn new(writer: Option<Writer>) -> Self {
        Self { writer, last: Arc::default() }
    }

    /// Who does not wait for the answer, does not ask for another one by that.
    pub(super) async fn is_ready(&self) -> bool {
        let Some(writer) = self.writer.clone() else { return true };
        let last = Arc::clone(&self.last);
        let asked = tokio::spawn(async move {
            let mut last = last.lock().await;
            if let Some((when, ready)) = *last
                && when.elapsed() < FRESH
            {
                return ready;
            }
            let ready = tokio::time::timeout(PATIENCE, writer.probe()).await.unwrap_or(false);
            *last = Some((Instant::now(), ready));
            ready
        });
        asked.await.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_goes_as_a_whole_and_in_time() {
        let day = |text: &str| text.parse::<Day>().unwrap();
        let kept =
            |today: &str, days: u32| first_kept(day(today), NonZeroU32::new(days).unwrap()).to_string();
        // 2026-11-16 and -23 are Mondays.
        assert_eq!(kept("2026-11-23", 7), "2026-11-16");
        assert_eq!(kept("2026-11-24", 7), "2026-11-23");
        assert_eq!(kept("2026-11-22", 7), "2026-11-16");
        assert_eq!(kept("2026-11-22", 6), "2026-11-16");
        assert_eq!(kept("2026-11-22", 5), "2026-11-23");
        for (today, days) in [(20_000, 1), (20_003, 30), (20_006, 400)] {
            let first = first_kept(Day(today), NonZeroU32::new(days).unwrap());
            assert!(today - first.0 <= i32::try_from(days).unwrap());
            assert_eq!(first.week().first(), first);
        }
    }
}
