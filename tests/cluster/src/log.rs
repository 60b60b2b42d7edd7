//! The log of every call that reached the cluster, for tests to assert on. Depends on nothing else of the cluster.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use prost::Message;
use tokio::sync::watch;
use tonic::Code;

/// One call, as it came.
#[derive(Clone, Debug)]
pub struct Call {
    /// One of the names in [`method`](crate::method), or `VERB /path` or `/service/Method` for what is not served.
    pub method: String,
    /// The path as requested: web paths exist with and without `/v1`.
    pub path: String,
    /// The user of the client certificate; none on the web.
    pub user: Option<String>,
    /// The decoded request in one line, for people. Secrets of a development cluster are worth nothing, so none is masked.
    pub summary: String,
    /// The body of an HTTP request, or the protobuf message of a gRPC one.
    pub request: Bytes,
    /// gRPC metadata and HTTP headers, as text.
    pub headers: Vec<(String, String)>,
    pub outcome: Outcome,
}

impl Call {
    /// The request as the message that `method` takes.
    pub fn decode<M: Message + Default>(&self) -> Result<M, prost::DecodeError> {
        M::decode(self.request.clone())
    }
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Not answered yet, or never: held, or the client went away.
    Pending,
    Answered,
    /// Refused. For HTTP this is the gRPC code of the same kind of error.
    Refused(Code, String),
    /// Acted on, but the reply was thrown away by a scripted fault.
    ReplyLost,
}

pub(crate) struct Log {
    calls: Mutex<Vec<Call>>,
    changed: watch::Sender<()>,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self { calls: Mutex::default(), changed: watch::Sender::new(()) }
    }

    /// Enters a call and returns its place, for [`Log::end`].
    pub(crate) fn begin(&self, call: Call) -> usize {
        let mut calls = self.lock();
        calls.push(call);
        calls.len() - 1
    }

    /// Enters what a stream was sent.
    pub(crate) fn received(&self, place: usize, request: Bytes, summary: String) {
        if let Some(call) = self.lock().get_mut(place) {
            (call.request, call.summary) = (request, summary);
        }
    }

    pub(crate) fn end(&self, place: usize, outcome: Outcome) {
        if let Some(call) = self.lock().get_mut(place) {
            call.outcome = outcome;
        }
        self.changed.send_replace(());
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.lock().clone()
    }

    /// Waits until `count` calls of `method` have an outcome, and returns them.
    pub(crate) async fn wait_for(&self, method: &str, count: usize) -> Vec<Call> {
        let mut changed = self.changed.subscribe();
        loop {
            changed.borrow_and_update();
            let mut done = self.calls();
            done.retain(|call| call.method == method && call.outcome != Outcome::Pending);
            if done.len() >= count {
                return done;
            }
            if changed.changed().await.is_err() {
                return done;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Call>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
