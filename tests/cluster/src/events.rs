//! `WatchEvents`, for one kind of resource: certificate authorities. Depends on tokio's channels; the rules for what an
//! authority looks like are in [`crate::auth`]. Source: protocol facts, section 4.6.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Code, Status};

use crate::error::Failure;
use crate::proto::{CertAuthority, Event, Watch, WatchStatus};

const CERT_AUTHORITY: &str = "cert_authority";
const PUT: i32 = 1;

/// What a watcher reads.
pub(crate) type Stream = UnboundedReceiverStream<Result<Event, Status>>;

struct Watcher {
    /// Type of authority to the cluster's name.
    filter: BTreeMap<String, String>,
    events: UnboundedSender<Result<Event, Status>>,
}

/// Everybody who watches.
#[derive(Default)]
pub(crate) struct Events(Mutex<Vec<Watcher>>);

impl Events {
    /// A new watcher. Its first event says that the watch has begun.
    pub(crate) fn watch(&self, request: &Watch) -> Result<Stream, Failure> {
        let [kind] = request.kinds.as_slice() else {
            return Err(Failure::new(Code::InvalidArgument, "the development cluster watches one kind"));
        };
        if kind.kind != CERT_AUTHORITY || kind.load_secrets {
            return Err(Failure::access_denied());
        }
        let (events, stream) = unbounded_channel();
        // The receiver is right here, so it cannot be gone.
        let _ = events.send(Ok(Event { watch_status: Some(WatchStatus {}), ..Event::default() }));
        self.watchers().push(Watcher { filter: kind.filter.clone(), events });
        Ok(UnboundedReceiverStream::new(stream))
    }

    /// Tells everybody whose filter takes it; who does not listen any more is forgotten.
    pub(crate) fn put(&self, cluster: &str, authority: &CertAuthority) {
        self.watchers().retain(|watcher| {
            let wanted = watcher.filter.get(&authority.sub_kind).is_some_and(|name| name == cluster);
            let event = Event { r#type: PUT, cert_authority: Some(authority.clone()), ..Event::default() };
            if wanted { watcher.events.send(Ok(event)).is_ok() } else { !watcher.events.is_closed() }
        });
    }

    /// Ends every stream, as a server does that restarts in good order.
    pub(crate) fn end(&self) {
        self.watchers().clear();
    }

    fn watchers(&self) -> MutexGuard<'_, Vec<Watcher>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
