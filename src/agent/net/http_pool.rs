//! Sends HTTP/1.1 requests to one server, and keeps connections open for further requests.
//!
//! Bodies are forwarded in both directions as they arrive.

use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use http::{Request, Response};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::SendRequest;
use tokio::time::Instant;

use super::connection_error::ConnectionError;
use super::dialler::DialTarget;
use super::http_body::{self, HttpBody};
use super::http1;
use crate::agent::platform::Clock;
use crate::agent::platform::lock::lock;

/// How long a connection without a request can be reused: less time than a proxy keeps it open, so that the proxy does not close
/// it while a request is on the way.
const MAX_IDLE: Duration = Duration::from_secs(20);
/// The number of connections that are kept. Further ones are closed after their request.
const MAX_CONNECTIONS: usize = 64;

/// The connections to one server. Dropping it closes those without a request.
pub(crate) struct HttpPool {
    target: DialTarget,
    idle: Arc<Mutex<Vec<IdleConnection>>>,
}

struct IdleConnection {
    sender: SendRequest<HttpBody>,
    since: (Instant, SystemTime),
}

impl IdleConnection {
    fn new(sender: SendRequest<HttpBody>, clock: &Clock) -> Self {
        Self { sender, since: (Instant::now(), clock.now()) }
    }

    /// Returns whether the connection can be reused. The monotonic clock stands still while the machine is suspended, and the wall
    /// clock can be set.
    fn is_usable(&self, clock: &Clock) -> bool {
        let (monotonic, wall) = self.since;
        let is_recent = clock.now().duration_since(wall).is_ok_and(|idle| idle < MAX_IDLE);
        self.sender.is_ready() && monotonic.elapsed() < MAX_IDLE && is_recent
    }
}

impl HttpPool {
    pub(crate) fn new(target: DialTarget) -> Self {
        Self { target, idle: Arc::default() }
    }

    /// Sends a request, whose URI must be in origin form. If the server has closed a connection that was kept, a request that it
    /// has not received is sent again. So is one that it may have received, if a repetition does no harm.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no connection or no response. The server may have received the request anyway.
    pub(crate) async fn send(
        &self,
        mut request: Request<HttpBody>,
    ) -> Result<Response<Incoming>, ConnectionError> {
        while let Some(mut sender) = self.take_idle() {
            let copy = copy_if_repeatable(&request);
            match sender.try_send_request(request).await {
                Ok(response) => return Ok(self.keep_when_idle(sender, response)),
                Err(mut error) => match (error.take_message(), copy) {
                    (Some(unsent), _) => request = unsent,
                    (None, Some(copy)) => {
                        request = copy;
                        break;
                    }
                    (None, None) => return Err(ConnectionError::new(error.into_error())),
                },
            }
        }
        let mut sender = self.connect().await.map_err(ConnectionError::new)?;
        let response = sender.send_request(request).await.map_err(ConnectionError::new)?;
        Ok(self.keep_when_idle(sender, response))
    }

    async fn connect(&self) -> Result<SendRequest<HttpBody>, Box<dyn Error + Send + Sync>> {
        let stream = self.target.open_in_time().await?;
        let (sender, connection) = http1::handshake(Box::new(stream.into_inner())).await?;
        // Ends with its sender, or after the response that is on the way, whose recipient notices any error.
        tokio::spawn(connection.with_upgrades());
        Ok(sender)
    }

    fn take_idle(&self) -> Option<SendRequest<HttpBody>> {
        let mut idle = lock(&self.idle);
        idle.retain(|connection| connection.is_usable(self.target.dialler().clock()));
        idle.pop().map(|connection| connection.sender)
    }

    /// Keeps a connection as soon as the body of its response has been read.
    fn keep_when_idle(
        &self,
        mut sender: SendRequest<HttpBody>,
        response: Response<Incoming>,
    ) -> Response<Incoming> {
        let (idle, clock) = (Arc::downgrade(&self.idle), self.target.dialler().clock().clone());
        tokio::spawn(async move {
            // Fails if the connection is closed, or used for another protocol.
            if sender.ready().await.is_ok()
                && let Some(idle) = idle.upgrade()
            {
                let mut idle = lock(&idle);
                if idle.len() < MAX_CONNECTIONS {
                    idle.push(IdleConnection::new(sender, &clock));
                }
            }
        });
        response
    }
}

/// Returns a copy of a request that has no body and does the same if it is received twice.
fn copy_if_repeatable(request: &Request<HttpBody>) -> Option<Request<HttpBody>> {
    if !request.method().is_idempotent() || !request.body().is_end_stream() {
        return None;
    }
    let mut copy = Request::new(http_body::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}
