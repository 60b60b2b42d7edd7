//! The log of the calls that the cluster has received, for assertions in tests. Depends on no other module.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use prost::Message;
use tokio::sync::watch;
use tonic::Code;

/// A call that the cluster has received.
#[derive(Clone, Debug)]
pub struct Call {
    /// A constant of [`method`](crate::method), or `VERB /path` or `/service/Method` if the cluster does not serve it.
    pub method: String,
    /// The path as requested, with or without `/v1`.
    pub path: String,
    /// The user of the client certificate, or `None` if there is no accepted certificate.
    pub user: Option<String>,
    /// The decoded request in one line, for humans. Messages that contain a secret are shown by name only.
    pub summary: String,
    /// The body of an HTTP request, or the protobuf message of a gRPC request.
    pub request: Bytes,
    /// The HTTP headers, which include gRPC metadata.
    pub headers: Vec<(String, String)>,
    pub outcome: Outcome,
}

impl Call {
    /// Decodes the request as the message type of the method.
    ///
    /// # Errors
    ///
    /// Returns an error if the request is not a valid `M`.
    pub fn decode<M: Message + Default>(&self) -> Result<M, prost::DecodeError> {
        M::decode(self.request.clone())
    }
}

/// The outcome of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No response has been sent: the call is held or in progress, or the client has disconnected.
    Pending,
    Succeeded,
    /// Over HTTP, the code is the gRPC code that corresponds to the status.
    Refused(Code, String),
    /// A scripted fault dropped the response, or ended the stream without certificates.
    ResponseDropped,
}

/// The calls in the order of arrival.
pub(crate) struct CallLog {
    calls: Mutex<Vec<Call>>,
    changed: watch::Sender<()>,
}

impl CallLog {
    pub(crate) fn new() -> Self {
        Self { calls: Mutex::default(), changed: watch::Sender::new(()) }
    }

    /// Appends a call and returns its index, which identifies it in later updates.
    pub(crate) fn begin(&self, call: Call) -> usize {
        let mut calls = self.lock();
        calls.push(call);
        calls.len() - 1
    }

    /// Sets the request of a stream, which arrives after the call has begun.
    pub(crate) fn set_request(&self, index: usize, request: Bytes, summary: String) {
        if let Some(call) = self.lock().get_mut(index) {
            (call.request, call.summary) = (request, summary);
        }
    }

    /// Records the outcome of a call.
    pub(crate) fn end(&self, index: usize, outcome: Outcome) {
        if let Some(call) = self.lock().get_mut(index) {
            call.outcome = outcome;
        }
        self.changed.send_replace(());
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.lock().clone()
    }

    /// Waits until `count` calls of `method` have completed, and returns all completed calls of that method.
    pub(crate) async fn wait_for(&self, method: &str, count: usize) -> Vec<Call> {
        let mut changed = self.changed.subscribe();
        loop {
            changed.borrow_and_update();
            let mut completed = self.calls();
            completed.retain(|call| call.method == method && call.outcome != Outcome::Pending);
            if completed.len() >= count {
                return completed;
            }
            if changed.changed().await.is_err() {
                return completed;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Call>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
