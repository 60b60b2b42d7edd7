//! Faults that a test scripts: refuse the next call, hold it, lose its reply, be down. Depends on no protocol; the
//! server asks it at fixed points of every call.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{oneshot, watch};

use crate::error::Failure;

/// What happens to one call, taken in the order in which the faults were scripted.
enum Fault {
    Fail(Failure),
    Hold { arrived: oneshot::Sender<()>, released: oneshot::Receiver<()> },
    DropReply,
    Stream(StreamFault),
}

/// What a stream that begins with a challenge does wrong.
#[derive(Clone, Debug)]
pub enum StreamFault {
    /// It gives this challenge.
    Challenge(String),
    /// It ends in good order before its challenge.
    EndAtOnce,
    /// It ends in good order after the answer to its challenge, which it does nothing about.
    EndAfterChallenge,
}

/// A call that [`hold_next`](crate::Cluster::hold_next) stops before the cluster acts on it. Dropping this lets it go on.
#[derive(Debug)]
#[must_use = "a hold that is dropped lets the call go on"]
pub struct Hold {
    arrived: Option<oneshot::Receiver<()>>,
    release: oneshot::Sender<()>,
}

impl Hold {
    /// Returns when the call is there and waits. At once when it has been seen before, or when the cluster is gone.
    pub async fn arrived(&mut self) {
        if let Some(arrived) = self.arrived.take() {
            let _ = arrived.await;
        }
    }

    /// Returns when the caller has hung up and the call is taken back. Never, while it waits.
    pub async fn abandoned(&mut self) {
        self.release.closed().await;
    }

    /// Lets the call go on, as dropping does.
    pub fn release(self) {}
}

/// How a call goes on after [`Faults::before`].
pub(crate) enum Verdict {
    Answer,
    Refuse(Failure),
    /// Act on it, then cut the connection instead of answering.
    Lose,
    /// Where it is no such stream, this is as [`Verdict::Answer`].
    Stream(StreamFault),
}

pub(crate) struct Faults {
    scripted: Mutex<BTreeMap<String, VecDeque<Fault>>>,
    down: watch::Sender<bool>,
}

impl Faults {
    pub(crate) fn new() -> Self {
        Self { scripted: Mutex::default(), down: watch::Sender::new(false) }
    }

    pub(crate) fn fail_next(&self, method: &str, failure: Failure) {
        self.script(method, Fault::Fail(failure));
    }

    pub(crate) fn hold_next(&self, method: &str) -> Hold {
        let (arrived_tx, arrived) = oneshot::channel();
        let (release, released) = oneshot::channel();
        self.script(method, Fault::Hold { arrived: arrived_tx, released });
        Hold { arrived: Some(arrived), release }
    }

    pub(crate) fn drop_reply(&self, method: &str) {
        self.script(method, Fault::DropReply);
    }

    pub(crate) fn spoil_stream(&self, method: &str, fault: StreamFault) {
        self.script(method, Fault::Stream(fault));
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.down.send_replace(down);
    }

    /// Whether the cluster is down, now and from now on.
    pub(crate) fn down(&self) -> watch::Receiver<bool> {
        self.down.subscribe()
    }

    /// Waits as long as a scripted hold says; then tells what becomes of the call.
    pub(crate) async fn before(&self, method: &str) -> Verdict {
        let fault = self.scripted().get_mut(method).and_then(VecDeque::pop_front);
        match fault {
            None => Verdict::Answer,
            Some(Fault::Fail(failure)) => Verdict::Refuse(failure),
            Some(Fault::DropReply) => Verdict::Lose,
            Some(Fault::Stream(fault)) => Verdict::Stream(fault),
            Some(Fault::Hold { arrived, released }) => {
                let _ = arrived.send(());
                let _ = released.await;
                Verdict::Answer
            }
        }
    }

    fn script(&self, method: &str, fault: Fault) {
        self.scripted().entry(method.to_owned()).or_default().push_back(fault);
    }

    fn scripted(&self) -> MutexGuard<'_, BTreeMap<String, VecDeque<Fault>>> {
        self.scripted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
