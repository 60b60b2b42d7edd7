//! The one thread that writes: gathers what waits into a batch, has the store make it durable, and only then answers
//! each of them. What nobody waits for is the keeper's. Depends on the store and the metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread;
use std::time::Instant;

use tokio::sync::oneshot;

use super::keeper::{Chore, Keeper};
use super::{FOLD, LARGEST_BATCH, Store, StoreError, StoreUrl};
use crate::clock::Clock;
use crate::day::Day;
use crate::metrics::Metrics;
use crate::start::Submission;

/// How many submissions wait for the store, at most.
const LONGEST_QUEUE: usize = 4096;

/// How many chores wait for the keeper, at most; one that finds no place is asked for again later.
const CHORES: usize = 64;

/// Hands submissions to the writing thread. Its threads end when the last of these is gone and everything is written.
#[derive(Clone)]
pub struct Writer {
    queue: SyncSender<Job>,
    keeper: SyncSender<Chore>,
}

/// The threads of a [`Writer`].
pub struct Threads(thread::JoinHandle<()>, thread::JoinHandle<()>);

impl Threads {
    /// Waits until everything is written and folded.
    pub fn join(self) {
        // A thread that panicked has nothing left to write.
        let _ = self.0.join();
        let _ = self.1.join();
    }
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

/// A submission, and where it goes back to with what became of it: who made it frees it. Many small things that one thread
/// makes and another one frees cost both of them.
type Job = (Submission, oneshot::Sender<(Result<(), NotStored>, Submission)>);

impl Writer {
    /// Begins the threads. A store that cannot be opened now is opened when there is something to store.
    ///
    /// # Errors
    ///
    /// Where the system gives no thread.
    pub fn begin(
        url: StoreUrl,
        store: Option<Box<dyn Store>>,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<(Self, Threads)> {
        let (queue, jobs) = mpsc::sync_channel(LONGEST_QUEUE);
        let (keeper, chores) = mpsc::sync_channel(CHORES);
        metrics.store_is_up(store.is_some());
        let is_told = Arc::new(AtomicBool::new(false));
        let work = Work {
            store: Opened::new(
                url.clone(),
                store,
                "the store is not available: senders are told to come again",
            ),
            metrics: Arc::clone(&metrics),
            keeper: keeper.clone(),
            is_told: Arc::clone(&is_told),
            unfolded: 0,
        };
        let keep = Keeper {
            store: Opened::new(url, None, "the store cannot be kept in order: it is tried again"),
            clock,
            metrics,
            is_told,
            // A killed process may have left something.
            fold_by: Some(Instant::now()),
        };
        let writing = thread::Builder::new().name("store".to_owned()).spawn(move || work.run(&jobs))?;
        let keeping = thread::Builder::new().name("keeper".to_owned()).spawn(move || keep.run(&chores))?;
        Ok((Self { queue, keeper }, Threads(writing, keeping)))
    }

    /// Stores a submission; returns when it is durable.
    ///
    /// # Errors
    ///
    /// Where it may not be durable. It may have been stored all the same: the sender's next try is then a repetition.
    pub async fn store(&self, submission: Submission) -> Result<(), NotStored> {
        let (answer, answered) = oneshot::channel();
        self.queue.try_send((submission, answer)).map_err(|error| match error {
            TrySendError::Full(_) => NotStored::Busy,
            TrySendError::Disconnected(_) => NotStored::Unavailable,
        })?;
        answered.await.map_or(Err(NotStored::Unavailable), |(stored, _)| stored)
    }

    /// Removes ids that are no longer kept and, where a day is given, what is older. Not answered: where there is no
    /// place in the queue or the store fails, it is done the next time.
    pub fn clean(&self, first: Option<Day>) {
        let _ = self.keeper.try_send(Chore::Clean(first));
    }

    /// Whether the store can be written to.
    pub async fn probe(&self) -> bool {
        let (answer, answered) = oneshot::channel();
        self.keeper.try_send(Chore::Probe(answer)).is_ok() && answered.await.unwrap_or(false)
    }
}

struct Work {
    store: Opened,
    metrics: Arc<Metrics>,
    keeper: SyncSender<Chore>,
    /// Whether the keeper knows of something to fold.
    is_told: Arc<AtomicBool>,
    /// How much was stored since it was last told to fold at once.
    unfolded: usize,
}

impl Work {
    fn run(mut self, jobs: &Receiver<Job>) {
        let mut batch = Vec::new();
        let mut answers = Vec::new();
        while let Ok(first) = jobs.recv() {
            for (submission, answer) in std::iter::once(first).chain(jobs.try_iter().take(LARGEST_BATCH - 1))
            {
                batch.push(submission);
                answers.push(answer);
            }
            let stored = self.append(&batch);
            let count = batch.len();
            for (answer, submission) in answers.drain(..).zip(batch.drain(..)) {
                // A sender that has gone away needs no answer.
                let _ = answer.send((stored, submission));
            }
            if stored.is_ok() {
                self.tell_keeper(count);
            }
        }
    }

    fn append(&mut self, batch: &[Submission]) -> Result<(), NotStored> {
        let begun = Instant::now();
        let stored = self.store.attempt(|store| store.append(batch));
        self.metrics.batch(begun.elapsed(), stored.is_some());
        let (count, done) = match stored {
            Some(()) => (&self.metrics.stored, Ok(())),
            None => (&self.metrics.unavailable, Err(NotStored::Unavailable)),
        };
        count.add(u64::try_from(batch.len()).unwrap_or(u64::MAX));
        done
    }

    /// Says only what is new: being told wakes the keeper. Where its queue is full, it has enough to do.
    fn tell_keeper(&mut self, count: usize) {
        self.unfolded += count;
        if self.unfolded >= FOLD {
            self.unfolded = 0;
            let _ = self.keeper.try_send(Chore::Fold);
        } else if !self.is_told.swap(true, Ordering::AcqRel) && self.keeper.try_send(Chore::Arrived).is_err()
        {
            self.is_told.store(false, Ordering::Release);
        }
    }
}

/// A store that is opened where it is not.
pub(super) struct Opened {
    url: StoreUrl,
    store: Option<Box<dyn Store>>,
    /// What it means that it fails.
    trouble: &'static str,
    /// Whether the last thing it did failed: said once in the log, and once when it is over.
    down: bool,
}

impl Opened {
    fn new(url: StoreUrl, store: Option<Box<dyn Store>>, trouble: &'static str) -> Self {
        Self { url, store, trouble, down: false }
    }

    /// Does something with the store; says in the log when that begins to fail, and when it is over.
    pub(super) fn attempt<T>(
        &mut self,
        work: impl FnOnce(&mut dyn Store) -> Result<T, StoreError>,
    ) -> Option<T> {
        match self.run(work) {
            Ok(done) => {
                if self.down {
                    tracing::info!("over: {}", self.trouble);
                }
                self.down = false;
                Some(done)
            }
            Err(error) => {
                if !self.down {
                    tracing::warn!(%error, "{}", self.trouble);
                }
                self.down = true;
                None
            }
        }
    }

    /// Does something with the store. One that fails is opened anew the next time.
    pub(super) fn run<T>(
        &mut self,
        work: impl FnOnce(&mut dyn Store) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut store = match self.store.take() {
            Some(store) => store,
            None => self.url.open()?,
        };
        let done = work(&mut *store)?;
        self.store = Some(store);
        Ok(done)
    }
}
