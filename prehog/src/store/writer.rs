//! The thread that writes submissions: collects those that wait into a batch, makes the batch durable, and only then
//! responds to each caller. It also probes whether it could write one, on request and repeatedly after a failure. Work that no
//! caller waits for is left to the maintenance thread. Depends on the store and the metrics.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::backend::{FOLD_BATCH, MAX_BATCH, ProbeResult, Store};
use super::distinct_values::DistinctValues;
use super::maintenance::{LastAttempts, Maintenance, MaintenanceTask};
use super::reopening::{LastAttempt, Messages, ReopeningStore};
use super::url::StoreUrl;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::schema::{EventSchema, SchemaError};
use crate::start::Submission;

/// The maximum number of submissions and probes that wait for the store.
const REQUEST_QUEUE: usize = 4096;

/// The maximum number of tasks that wait for the maintenance thread. A task that does not fit is requested again later.
const TASK_QUEUE: usize = 64;

/// How long after a failure the store is probed, unless a submission arrives earlier.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);

/// How long the end of the program waits for maintenance of a remote store. A server that does not respond must not keep the program
/// from ending.
const REMOTE_MAINTENANCE_TIMEOUT: Duration = Duration::from_secs(5);

/// Hands submissions to the writer thread. The threads end when the last clone is dropped and everything is written.
#[derive(Clone)]
pub struct Writer {
    requests: SyncSender<Request>,
    tasks: SyncSender<MaintenanceTask>,
    /// Whether the store has reached its maximum size.
    is_full: Arc<AtomicBool>,
    metrics: Arc<Metrics>,
}

/// The threads of a [`Writer`].
pub struct WriterThreads {
    writer: thread::JoinHandle<()>,
    /// Disconnected when the maintenance thread ends.
    maintenance: Receiver<()>,
    /// How long to wait for the maintenance thread; `None` means until it ends.
    maintenance_timeout: Option<Duration>,
}

impl WriterThreads {
    /// Waits until everything is written and folded. A statement that a remote store runs for maintenance may be interrupted
    /// after a few seconds: it is repeated later.
    pub fn join(self) {
        // A thread that panicked has nothing left to write.
        let _ = self.writer.join();
        let _ = match self.maintenance_timeout {
            None => self.maintenance.recv().map_err(RecvTimeoutError::from),
            Some(timeout) => self.maintenance.recv_timeout(timeout),
        };
    }
}

/// The reason why a submission may not be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The store failed.
    #[error("the store is unavailable; try again later")]
    Unavailable,
    /// The store has reached its maximum size.
    #[error("the store has reached its maximum size")]
    Full,
    /// The queue of submissions is full.
    #[error("too many events are waiting for the store; try again later")]
    Busy,
}

/// The reason why the threads of a [`Writer`] cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartWriterError {
    /// This program does not support the event's schema.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The system cannot start a thread.
    #[error("cannot start a thread for the store")]
    Thread(#[from] std::io::Error),
}

/// A request to the writer thread, and the channel for its result.
enum Request {
    Write(Write),
    /// Report whether the store is writable.
    Probe(oneshot::Sender<bool>),
}

/// A submission, and the channel for the result. The submission is sent back with the result, because freeing many small
/// allocations on another thread than the one that made them is slow for both threads.
type Write = (Submission, WriteSender);
type WriteSender = oneshot::Sender<(Result<(), WriteError>, Submission)>;

impl Writer {
    /// Starts the threads. If `store` is `None`, the store is opened when it is first needed. Rejects submissions while the
    /// store uses `max_bytes` or more, if that is not 0.
    ///
    /// # Errors
    ///
    /// Returns an error if the system cannot start a thread, or if this program does not support the event's schema.
    ///
    /// # Panics
    ///
    /// Panics outside of a Tokio runtime.
    pub fn start(
        url: StoreUrl,
        store: Option<Box<dyn Store>>,
        max_bytes: u64,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Result<(Self, WriterThreads), StartWriterError> {
        let (requests, queued_requests) = mpsc::sync_channel(REQUEST_QUEUE);
        let (tasks, queued_tasks) = mpsc::sync_channel(TASK_QUEUE);
        let is_up = store.is_some();
        metrics.set_store_up(is_up);
        let fold_requested = Arc::new(AtomicBool::new(false));
        let is_full = Arc::new(AtomicBool::new(false));
        let distinct_values = DistinctValues::new(EventSchema::embedded()?);
        let is_remote = matches!(url, StoreUrl::ClickHouse(_));
        // A remote store was not opened for senders, so its statements could take too long for them.
        let (writer_store, maintenance_store) = if is_remote { (None, store) } else { (store, None) };
        let writer = WriterThread {
            store: ReopeningStore::new(url.clone(), StoreUrl::open_for_senders, writer_store),
            must_probe: !is_up,
            last_attempt: LastAttempt::new(Messages {
                failure: "the store is unavailable; senders are asked to try again later",
                recovery: "events are stored again",
            }),
            metrics: Arc::clone(&metrics),
            tasks: tasks.clone(),
            fold_requested: Arc::clone(&fold_requested),
            unfolded: 0,
            distinct_values,
            runtime: Handle::current(),
        };
        let maintenance = Maintenance {
            store: ReopeningStore::new(url, StoreUrl::open_existing, maintenance_store),
            last_attempts: LastAttempts::default(),
            clock,
            metrics: Arc::clone(&metrics),
            fold_requested,
            max_bytes: if max_bytes == 0 { u64::MAX } else { max_bytes },
            is_full: Arc::clone(&is_full),
            // An earlier process may have been killed before it folded everything.
            fold_deadline: Some(Instant::now()),
        };
        let writer =
            thread::Builder::new().name("writer".to_owned()).spawn(move || writer.run(&queued_requests))?;
        let (running, maintenance_thread) = mpsc::channel();
        thread::Builder::new().name("maintenance".to_owned()).spawn(move || {
            maintenance.run(&queued_tasks);
            drop(running);
        })?;
        let threads = WriterThreads {
            writer,
            maintenance: maintenance_thread,
            maintenance_timeout: is_remote.then_some(REMOTE_MAINTENANCE_TIMEOUT),
        };
        Ok((Self { requests, tasks, is_full, metrics }, threads))
    }

    /// Stores a submission and returns when it is durable.
    ///
    /// # Errors
    ///
    /// Returns an error if the submission may not be durable. It may still have been stored; a retry of the sender is
    /// then detected as a repetition.
    pub async fn store(&self, submission: Submission) -> Result<(), WriteError> {
        let (sender, result) = oneshot::channel();
        if let Err(error) = self.enqueue((submission, sender)) {
            // The thread counts only submissions from the queue.
            self.metrics.unavailable.inc();
            return Err(error);
        }
        result.await.map_or(Err(WriteError::Unavailable), |(result, _)| result)
    }

    /// Passes a submission to the thread, unless the store or the queue is full.
    fn enqueue(&self, write: Write) -> Result<(), WriteError> {
        if self.is_full.load(Ordering::Relaxed) {
            return Err(WriteError::Full);
        }
        self.requests.try_send(Request::Write(write)).map_err(|error| match error {
            TrySendError::Full(_) => WriteError::Busy,
            TrySendError::Disconnected(_) => WriteError::Unavailable,
        })
    }

    /// Requests the removal of expired ids and, if a number of days is given, of all starts that are older. Returns
    /// immediately. If the queue is full or the store fails, nothing is removed until the next request.
    pub fn request_expiry(&self, retain_days: Option<NonZeroU32>) {
        let _ = self.tasks.try_send(MaintenanceTask::RemoveExpired(retain_days));
    }

    /// Returns true if the store is writable and not full.
    pub async fn probe(&self) -> bool {
        let (sender, result) = oneshot::channel();
        self.requests.try_send(Request::Probe(sender)).is_ok()
            && result.await.unwrap_or(false)
            && !self.is_full.load(Ordering::Relaxed)
    }
}

struct WriterThread {
    store: ReopeningStore,
    last_attempt: LastAttempt,
    /// Whether to probe the store soon, because the last batch or probe failed, or the store was not open at the start.
    must_probe: bool,
    metrics: Arc<Metrics>,
    tasks: SyncSender<MaintenanceTask>,
    /// Whether the maintenance thread already knows that there are submissions to fold.
    fold_requested: Arc<AtomicBool>,
    /// How many submissions were stored since the last [`MaintenanceTask::FoldNow`].
    unfolded: usize,
    distinct_values: DistinctValues,
    /// Runs the tasks that wait for the results.
    runtime: Handle,
}

impl WriterThread {
    fn run(mut self, queued: &Receiver<Request>) {
        loop {
            // Probes only after a failure: at other times, a probe would only wake the disk or the server of the store.
            let received = match self.must_probe {
                false => queued.recv().map_err(RecvTimeoutError::from),
                true => queued.recv_timeout(PROBE_INTERVAL),
            };
            match received {
                Ok(first) => self.serve(std::iter::once(first).chain(queued.try_iter().take(MAX_BATCH - 1))),
                Err(RecvTimeoutError::Timeout) => drop(self.probe()),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn serve(&mut self, requests: impl Iterator<Item = Request>) {
        let (mut batch, mut senders, mut probes) = (Vec::new(), Vec::new(), Vec::new());
        for request in requests {
            match request {
                Request::Write((submission, sender)) => {
                    batch.push(submission);
                    senders.push(sender);
                }
                Request::Probe(sender) => probes.push(sender),
            }
        }
        if !batch.is_empty() {
            self.write(batch, senders);
        }
        if !probes.is_empty() {
            let is_ready = self.probe();
            for sender in probes {
                // The caller may have stopped waiting.
                let _ = sender.send(is_ready);
            }
        }
    }

    fn write(&mut self, mut batch: Vec<Submission>, senders: Vec<WriteSender>) {
        let result = self.append(&mut batch);
        let count = batch.len();
        // A thread of the runtime wakes its own tasks without a system call for each of them.
        self.runtime.spawn(async move {
            for (sender, submission) in senders.into_iter().zip(batch) {
                // The caller may have stopped waiting.
                let _ = sender.send((result, submission));
            }
        });
        match result {
            Ok(()) => self.request_fold(count),
            Err(_) => self.close_for_maintenance(),
        }
    }

    /// Makes the maintenance thread close its files after a failure of this thread. As long as it has files open that were replaced
    /// or were not writable, this thread cannot use those that are there now.
    fn close_for_maintenance(&self) {
        // If the task does not fit into the queue, the next failure sends another one.
        let _ = self.tasks.try_send(MaintenanceTask::Close);
    }

    /// Returns true if a submission can be stored, as far as this is known. The log says only what happens to submissions.
    fn probe(&mut self) -> bool {
        let probed = self.store.run(|store| store.probe());
        self.must_probe = probed.is_err();
        self.metrics.set_store_up(match probed {
            Ok(ProbeResult::Writable) => true,
            // Says nothing about why the last batch failed. Only the next one can show that the cause is gone.
            Ok(ProbeResult::Responding) => !self.last_attempt.is_failure(),
            Err(_) => {
                self.close_for_maintenance();
                false
            }
        });
        !self.must_probe
    }

    fn append(&mut self, batch: &mut [Submission]) -> Result<(), WriteError> {
        let started = Instant::now();
        let Self { store, metrics, distinct_values, .. } = self;
        let appended = store.run(|store| {
            metrics.excess_values.inc_by(distinct_values.limit(batch, store));
            store.append(batch)
        });
        let appended = self.last_attempt.record(appended);
        self.must_probe = appended.is_none();
        self.metrics.record_batch(started.elapsed(), appended.is_some());
        let (counter, result) = match appended {
            Some(()) => (&self.metrics.stored, Ok(())),
            None => (&self.metrics.unavailable, Err(WriteError::Unavailable)),
        };
        counter.inc_by(u64::try_from(batch.len()).unwrap_or(u64::MAX));
        result
    }

    /// Requests a fold, but only if that is news: every task wakes the maintenance thread. A task that does not fit into
    /// the queue is dropped, because the thread is busy enough.
    fn request_fold(&mut self, count: usize) {
        self.unfolded += count;
        if self.unfolded >= FOLD_BATCH {
            self.unfolded = 0;
            let _ = self.tasks.try_send(MaintenanceTask::FoldNow);
        } else if !self.fold_requested.swap(true, Ordering::AcqRel)
            && self.tasks.try_send(MaintenanceTask::FoldSoon).is_err()
        {
            self.fold_requested.store(false, Ordering::Release);
        }
    }
}
