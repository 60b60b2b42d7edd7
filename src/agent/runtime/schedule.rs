//! Decides when to act next: jittered intervals, exponential backoff with a limit, and waiting by the wall clock.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::agent::platform::{Clock, Randomness};

const FIRST_BACKOFF: Duration = Duration::from_secs(1);
/// The longest wait between two failed attempts.
pub(crate) const MAX_BACKOFF: Duration = Duration::from_secs(60);
/// The shortest interval, so that an interval of zero does not become a busy loop.
const MIN_INTERVAL: Duration = Duration::from_millis(50);
/// The shortest wait before a renewal, however soon the certificate expires.
const MIN_WAIT: Duration = Duration::from_secs(1);

/// A wait that has begun. It ends by the wall clock or the monotonic clock, whichever ends first: the wall clock advances
/// while the machine is suspended, but may also be set back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    duration: Duration,
    due: SystemTime,
    started: Instant,
}

impl Wait {
    /// Begins a wait at the wall-clock time `now`. If `duration` was calculated from a time, `now` must be that time: the clock
    /// may have jumped since.
    pub(crate) fn begin(duration: Duration, now: SystemTime) -> Self {
        Self { duration, due: now + duration, started: Instant::now() }
    }

    /// Begins the wait until the renewal of credentials that expire at `not_after`, at the wall-clock time `now`.
    ///
    /// This is `interval` minus a random part of up to a tenth, so that agents started together drift apart, but at most
    /// two thirds of the remaining lifetime, because the server may issue credentials with a shorter lifetime than
    /// requested.
    pub(crate) fn until_renewal(
        interval: Duration,
        not_after: SystemTime,
        now: SystemTime,
        random: &Randomness,
    ) -> Self {
        let remaining = not_after.duration_since(now).unwrap_or_default();
        let longest = (remaining * 2 / 3).max(MIN_WAIT);
        let duration = jittered(interval.max(MIN_INTERVAL), random).min(longest);
        Self::begin(duration, now)
    }

    /// Returns the length of the whole wait.
    pub(crate) fn duration(&self) -> Duration {
        self.duration
    }

    /// Waits until the wait is over.
    pub(crate) async fn finished(self, clock: &Clock) {
        loop {
            let by_wall = self.due.duration_since(clock.now()).unwrap_or_default();
            let by_monotonic = self.duration.saturating_sub(self.started.elapsed());
            let remaining = by_wall.min(by_monotonic);
            if remaining.is_zero() {
                return;
            }
            tokio::time::sleep(remaining.min(clock.poll_interval())).await;
        }
    }
}

/// Waits for `duration`, like [`Wait`].
pub(crate) async fn wait(duration: Duration, clock: &Clock) {
    Wait::begin(duration, clock.now()).finished(clock).await;
}

/// Returns an interval minus a random part of up to a tenth.
pub(crate) fn jittered(interval: Duration, random: &Randomness) -> Duration {
    interval.mul_f64(1.0 - random.next() / 10.0)
}

/// Waits until `time`, like [`Wait`].
pub(crate) async fn wait_until(time: SystemTime, clock: &Clock) {
    let now = clock.now();
    Wait::begin(time.duration_since(now).unwrap_or_default(), now).finished(clock).await;
}

/// The waits between failed attempts: each is twice as long as the one before, up to a limit, and is shortened by a random part of
/// up to a half.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    /// Waits from one second to one minute.
    pub(crate) fn new() -> Self {
        Self::between(FIRST_BACKOFF, MAX_BACKOFF)
    }

    pub(crate) const fn between(first: Duration, longest: Duration) -> Self {
        Self { next: first, longest }
    }

    pub(crate) fn next(&mut self, random: &Randomness) -> Duration {
        let wait = self.next.mul_f64(0.5 + random.next() / 2.0);
        self.next = (self.next * 2).min(self.longest);
        wait
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn fixed(number: f64) -> Randomness {
        Randomness::from_fn(move || number)
    }

    #[test]
    fn renewals_are_jittered_and_precede_the_expiry() {
        let now = SystemTime::UNIX_EPOCH;
        let hour = now + 60 * MINUTE;
        let until_renewal = |interval, not_after, now, random: &Randomness| {
            Wait::until_renewal(interval, not_after, now, random).duration()
        };
        assert_eq!(until_renewal(20 * MINUTE, hour, now, &fixed(0.0)), 20 * MINUTE);
        assert_eq!(until_renewal(20 * MINUTE, hour, now, &fixed(1.0)), 18 * MINUTE);
        assert_eq!(until_renewal(20 * MINUTE, now + 15 * MINUTE, now, &fixed(0.0)), 10 * MINUTE);
        assert_eq!(until_renewal(Duration::ZERO, hour, now, &fixed(0.0)), MIN_INTERVAL);
        assert_eq!(until_renewal(20 * MINUTE, now, now, &fixed(0.0)), MIN_WAIT, "expired already");
    }

    #[test]
    fn backoff_doubles_up_to_a_minute() {
        let mut backoff = Backoff::new();
        let waits: Vec<u64> = (0..8).map(|_| backoff.next(&fixed(1.0)).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        let mut backoff = Backoff::new();
        let waits: Vec<u64> = (0..8).map(|_| backoff.next(&fixed(0.0)).as_millis() as u64).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
    }

    #[test]
    fn agents_that_fail_together_retry_at_different_times() {
        let random = Randomness::system();
        let mut tenths = [0; 10];
        for _ in 0..1000 {
            let wait = Backoff::new().next(&random).as_secs_f64();
            assert!((0.5..=1.0).contains(&wait), "{wait}");
            tenths[(((wait - 0.5) * 20.0) as usize).min(9)] += 1;
        }
        // 100 are expected in each; the probability that this fails is below one in ten million.
        assert!(tenths.iter().all(|count| (40..=160).contains(count)), "{tenths:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_soon_after_a_suspend() {
        let seconds = Arc::new(AtomicU64::new(0));
        let now = Arc::clone(&seconds);
        let clock =
            Clock::from_fn(move || SystemTime::UNIX_EPOCH + Duration::from_secs(now.load(Ordering::Relaxed)));
        let started = Instant::now();
        let waiting = tokio::spawn(async move { wait(20 * MINUTE, &clock).await });
        tokio::time::sleep(MINUTE).await;
        assert!(!waiting.is_finished());
        seconds.store(3600, Ordering::Relaxed);
        waiting.await.unwrap();
        assert!(started.elapsed() <= MINUTE + Duration::from_secs(15), "{:?}", started.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_jump_between_the_calculation_of_a_wait_and_its_start_counts() {
        let calculated = SystemTime::UNIX_EPOCH;
        let wait = Wait::begin(20 * MINUTE, calculated);
        let started = Instant::now();
        wait.finished(&Clock::from_fn(move || calculated + 60 * MINUTE)).await;
        assert_eq!(started.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_even_if_the_wall_clock_stops() {
        let clock = Clock::from_fn(|| SystemTime::UNIX_EPOCH);
        let started = Instant::now();
        wait(MINUTE, &clock).await;
        assert_eq!(started.elapsed(), MINUTE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_until_a_time_ends_then_and_at_once_if_it_has_passed() {
        let clock = Clock::from_fn(|| SystemTime::UNIX_EPOCH + MINUTE);
        let started = Instant::now();
        wait_until(SystemTime::UNIX_EPOCH, &clock).await;
        assert_eq!(started.elapsed(), Duration::ZERO);
        wait_until(SystemTime::UNIX_EPOCH + 3 * MINUTE, &clock).await;
        assert_eq!(started.elapsed(), 2 * MINUTE);
    }
}
