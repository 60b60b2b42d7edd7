//! The one thread that writes: gathers what waits into a batch, has the store make it durable, and only then answers
//! each of them. What nobody waits for is done between batches. Depends on the store and the metrics.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{FOLD, LARGEST_BATCH, Store, StoreError, StoreUrl};
use crate::clock::Clock;
use crate::day::Day;
use crate::metrics::Metrics;
use crate::start::Submission;

/// How many submissions wait for the store, at most.
const LONGEST_QUEUE: usize = 4096;

/// How long a submission waits at most to be folded, where few come.
pub const FOLD_WITHIN: Duration = Duration::from_secs(1);

/// How long after midnight a day counts as over: what was accepted before is stored by then, also by another receiver
/// with a clock of its own.
pub const GRACE: Duration = Duration::from_secs(60 * 60);

/// Hands submissions to the writing thread, which ends when the last of these is gone and everything is written.
#[derive(Clone)]
pub struct Writer {
    queue: SyncSender<Job>,
}

/// Something is not known to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotStored {
    /// The store failed.
    #[error("the store is not available; try again later")]
    Unavailable,
    /// More is waiting than the store keeps up with.
    #[error("more is waiting than the store keeps up with; try again later")]
    Busy,
}

enum Job {
    Store(Submission, oneshot::Sender<Result<(), NotStored>>),
    Clean(Option<Day>),
    Probe(oneshot::Sender<bool>),
}

impl Writer {
    /// Begins the thread. A store that cannot be opened now is opened when there is something to store.
    ///
    /// # Errors
    ///
    /// Where the system gives no thread.
    pub fn begin(
        url: StoreUrl,
        store: Option<Box<dyn Store>>,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<(Self, thread::JoinHandle<()>)> {
        let (queue, jobs) = mpsc::sync_channel(LONGEST_QUEUE);
        metrics.store_is_up(store.is_some());
        let work = Work { url, store, clock, metrics, unfolded: 0, fold_by: None, down: false };
        let thread = thread::Builder::new().name("store".to_owned()).spawn(move || work.run(jobs))?;
        Ok((Self { queue }, thread))
    }

    /// Stores a submission; returns when it is durable.
    ///
    /// # Errors
    ///
    /// Where it may not be durable. It may have been stored all the same: the sender's next try is then a repetition.
    pub async fn store(&self, submission: Submission) -> Result<(), NotStored> {
        let (answer, answered) = oneshot::channel();
        self.queue.try_send(Job::Store(submission, answer)).map_err(|error| match error {
            TrySendError::Full(_) => NotStored::Busy,
            TrySendError::Disconnected(_) => NotStored::Unavailable,
        })?;
        answered.await.unwrap_or(Err(NotStored::Unavailable))
    }

    /// Removes ids that are no longer kept and, where a day is given, what is older. Not answered: where there is no
    /// place in the queue or the store fails, it is done the next time.
    pub fn clean(&self, first: Option<Day>) {
        let _ = self.queue.try_send(Job::Clean(first));
    }

    /// Whether the store can be written to.
    pub async fn probe(&self) -> bool {
        let (answer, answered) = oneshot::channel();
        self.queue.try_send(Job::Probe(answer)).is_ok() && answered.await.unwrap_or(false)
    }
}

struct Work {
    url: StoreUrl,
    store: Option<Box<dyn Store>>,
    clock: Clock,
    metrics: Arc<Metrics>,
    /// How much was stored and not folded, and when it has to be.
    unfolded: usize,
    fold_by: Option<Instant>,
    /// Whether the last thing it did failed: said once in the log, and once when it is over.
    down: bool,
}

impl Work {
    fn run(mut self, jobs: Receiver<Job>) {
        let mut batch = Vec::new();
        let mut answers = Vec::new();
        while let Some(first) = self.next(&jobs) {
            let mut next = Some(first);
            while let Some(Job::Store(submission, answer)) = next {
                batch.push(submission);
                answers.push(answer);
                next = if batch.len() < LARGEST_BATCH { jobs.try_recv().ok() } else { None };
            }
            if !batch.is_empty() {
                let stored = self.append(&batch);
                for answer in answers.drain(..) {
                    // A sender that has gone away needs no answer.
                    let _ = answer.send(stored);
                }
                batch.clear();
            }
            match next {
                Some(Job::Clean(first)) => self.clean(first),
                Some(Job::Probe(answer)) => {
                    let up = self.attempt(|store| store.probe()).is_some();
                    // Who asked may have gone away.
                    let _ = answer.send(up);
                }
                Some(Job::Store(..)) | None => {}
            }
            if self.unfolded >= FOLD {
                self.fold();
            }
        }
    }

    /// The next job, folding meanwhile what has to be; none when there will be no more.
    fn next(&mut self, jobs: &Receiver<Job>) -> Option<Job> {
        loop {
            let Some(by) = self.fold_by else { return jobs.recv().ok() };
            match jobs.recv_timeout(by.saturating_duration_since(Instant::now())) {
                Ok(job) => return Some(job),
                Err(RecvTimeoutError::Timeout) => self.fold(),
                Err(RecvTimeoutError::Disconnected) => {
                    self.fold();
                    return None;
                }
            }
        }
    }

    fn append(&mut self, batch: &[Submission]) -> Result<(), NotStored> {
        let begun = Instant::now();
        let stored = self.attempt(|store| store.append(batch));
        self.metrics.batch(begun.elapsed(), stored.is_some());
        if stored.is_none() {
            self.metrics.unavailable.add(count(batch.len()));
            return Err(NotStored::Unavailable);
        }
        self.metrics.stored.add(count(batch.len()));
        self.unfolded += batch.len();
        self.fold_by.get_or_insert_with(|| begun + FOLD_WITHIN);
        Ok(())
    }

    /// Where it fails, the store is opened anew for the next batch, and folds then or stores nothing.
    fn fold(&mut self) {
        (self.unfolded, self.fold_by) = (0, None);
        if let Some(repeated) = self.attempt(|store| store.fold()) {
            self.metrics.repeated.add(repeated);
        }
    }

    fn clean(&mut self, first: Option<Day>) {
        let now = (self.clock)();
        let today = Day::of(now.checked_sub(GRACE).unwrap_or(now));
        self.attempt(|store| store.forget_ids(today));
        if let Some(first) = first
            && let Some(starts) = self.attempt(|store| store.retain(first))
            && starts > 0
        {
            tracing::info!(starts, before = %first, "removed starts that are past their time");
        }
    }

    /// Does something with the store, which is opened where it is not. A store that fails is opened anew next time.
    fn attempt<T>(&mut self, work: impl FnOnce(&mut dyn Store) -> Result<T, StoreError>) -> Option<T> {
        let opened = match self.store.take() {
            Some(store) => Ok(store),
            None => self.url.open(),
        };
        let done = opened.and_then(|mut store| {
            let done = work(&mut *store)?;
            self.store = Some(store);
            Ok(done)
        });
        self.metrics.store_is_up(done.is_ok());
        match done {
            Ok(done) => {
                if self.down {
                    tracing::info!("the store is available again");
                }
                self.down = false;
                Some(done)
            }
            Err(error) => {
                if !self.down {
                    tracing::warn!(%error, "the store is not available: senders are told to come again");
                }
                self.down = true;
                None
            }
        }
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
