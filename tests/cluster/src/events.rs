//! `WatchEvents` for the only resource that the cluster supports: certificate authorities.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tonic::Status;

use crate::error::ApiError;
use crate::message_stream::MessageStream;
use crate::proto::{CertAuthorityV2, Event, Operation, Watch, WatchStatusV1};

const CERT_AUTHORITY: &str = "cert_authority";

struct Watcher {
    /// The cluster name by type of authority.
    filter: BTreeMap<String, String>,
    events: UnboundedSender<Result<Event, Status>>,
}

/// The clients that watch certificate authorities.
#[derive(Default)]
pub(crate) struct Watchers(Mutex<Vec<Watcher>>);

impl Watchers {
    /// Adds a watcher. Its first event reports that the watch has begun.
    pub(crate) fn watch(&self, request: &Watch) -> Result<MessageStream<Event>, ApiError> {
        let [kind] = request.kinds.as_slice() else {
            let message = "the development cluster supports exactly one kind per watch";
            return Err(ApiError::invalid_argument(message));
        };
        if kind.kind != CERT_AUTHORITY || kind.load_secrets {
            return Err(ApiError::access_denied());
        }
        let (events, stream) = unbounded_channel();
        // Cannot fail: the receiver still exists.
        let _ = events.send(Ok(Event { watch_status: Some(WatchStatusV1 {}), ..Event::default() }));
        self.watchers().push(Watcher { filter: kind.filter.clone(), events });
        Ok(MessageStream::new(stream))
    }

    /// Sends an authority to the watchers whose filter matches it, and removes those that have disconnected.
    pub(crate) fn notify(&self, cluster: &str, authority: &CertAuthorityV2) {
        self.watchers().retain(|watcher| {
            let matches = watcher.filter.get(&authority.sub_kind).is_some_and(|name| name == cluster);
            let event = Event {
                r#type: Operation::Put.into(),
                cert_authority: Some(authority.clone()),
                ..Event::default()
            };
            if matches { watcher.events.send(Ok(event)).is_ok() } else { !watcher.events.is_closed() }
        });
    }

    /// Ends every stream with status OK, as a server does when it restarts gracefully.
    pub(crate) fn end(&self) {
        self.watchers().clear();
    }

    fn watchers(&self) -> MutexGuard<'_, Vec<Watcher>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
