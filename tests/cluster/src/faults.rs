//! Scripted faults: refuse the next call, hold it, drop its response, or take the cluster down. Independent of
//! protocols; the server consults this module at fixed points of every call.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot, watch};
use tonic::Code;

use crate::error::ApiError;

/// A fault of one call. Faults are applied in the order in which they were scripted.
enum Fault {
    Fail(ApiError),
    Hold { arrived: oneshot::Sender<()>, released: oneshot::Receiver<()> },
    DropResponse,
    StallResponse,
    Stream(StreamFault),
}

/// A fault of a stream that begins with a challenge.
#[derive(Clone, Debug)]
pub enum StreamFault {
    /// The cluster sends this challenge.
    Challenge(String),
    /// The cluster says that the token is for this join method. Only for streams that the client begins.
    JoinMethod(String),
    /// The stream ends with this status before anything is processed.
    Refuse(Code),
    /// The stream ends with status OK before the challenge.
    EndImmediately,
    /// The cluster closes the connection instead of sending this response, the first of which is 1. It has processed everything
    /// until then.
    LoseResponse(usize),
    /// The cluster sends neither this response, the first of which is 1, nor anything after it, until the client disconnects. It has
    /// processed everything until then, and signals that it waits.
    Stall { response: usize, reached: Arc<Notify> },
    /// The stream ends with status OK after the client's response to the challenge, which the cluster does not process.
    EndWithoutCertificates,
}

/// A call that [`hold_next`](crate::Cluster::hold_next) stops before the cluster processes it. Dropping this releases
/// it.
#[derive(Debug)]
#[must_use = "dropping this releases the call"]
pub struct HeldCall {
    arrived: Option<oneshot::Receiver<()>>,
    release: oneshot::Sender<()>,
}

impl HeldCall {
    /// Waits until the call has arrived. Returns immediately if an earlier wait has completed, or if the cluster has
    /// been dropped.
    pub async fn arrived(&mut self) {
        if let Some(arrived) = self.arrived.take() {
            let _ = arrived.await;
        }
    }

    /// Waits until the client has disconnected, which cancels the call.
    pub async fn abandoned(&mut self) {
        self.release.closed().await;
    }

    /// Releases the call, as dropping does.
    pub fn release(self) {}
}

/// How to process a call, as returned by [`Faults::before_call`].
pub(crate) enum CallAction {
    Process,
    Refuse(ApiError),
    /// Process the call, then close the connection instead of responding.
    DropResponse,
    /// Process the call and begin the response, but never send its message. The connection stays alive.
    StallResponse,
    /// Break the stream. For methods that do not begin with a challenge, the same as [`CallAction::Process`].
    BreakStream(StreamFault),
}

/// The faults that are in effect or still to be applied.
pub(crate) struct Faults {
    /// By method.
    scripted: Mutex<BTreeMap<String, VecDeque<Fault>>>,
    down: watch::Sender<bool>,
}

impl Faults {
    pub(crate) fn new() -> Self {
        Self { scripted: Mutex::default(), down: watch::Sender::new(false) }
    }

    pub(crate) fn fail_next(&self, method: &str, error: ApiError) {
        self.script(method, Fault::Fail(error));
    }

    pub(crate) fn hold_next(&self, method: &str) -> HeldCall {
        let (arrived_tx, arrived) = oneshot::channel();
        let (release, released) = oneshot::channel();
        self.script(method, Fault::Hold { arrived: arrived_tx, released });
        HeldCall { arrived: Some(arrived), release }
    }

    pub(crate) fn drop_next_response(&self, method: &str) {
        self.script(method, Fault::DropResponse);
    }

    pub(crate) fn stall_next_response(&self, method: &str) {
        self.script(method, Fault::StallResponse);
    }

    pub(crate) fn break_next_stream(&self, method: &str, fault: StreamFault) {
        self.script(method, Fault::Stream(fault));
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.down.send_replace(down);
    }

    /// Returns a channel that holds whether the cluster is down.
    pub(crate) fn watch_down(&self) -> watch::Receiver<bool> {
        self.down.subscribe()
    }

    /// Takes the next fault of `method`. If it is a hold, waits until it is released.
    pub(crate) async fn before_call(&self, method: &str) -> CallAction {
        let fault = self.scripted().get_mut(method).and_then(VecDeque::pop_front);
        match fault {
            None => CallAction::Process,
            Some(Fault::Fail(error)) => CallAction::Refuse(error),
            Some(Fault::DropResponse) => CallAction::DropResponse,
            Some(Fault::StallResponse) => CallAction::StallResponse,
            Some(Fault::Stream(fault)) => CallAction::BreakStream(fault),
            Some(Fault::Hold { arrived, released }) => {
                let _ = arrived.send(());
                let _ = released.await;
                CallAction::Process
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
