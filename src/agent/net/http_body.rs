//! The body of the agent's own HTTP messages. There is one type for all of them, so that HTTP/1.1 is compiled only once.

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;

/// The body of another message, which is forwarded as it arrives, or one that is complete.
pub(crate) type HttpBody = Either<Incoming, Full<Bytes>>;

pub(crate) fn empty() -> HttpBody {
    Either::Right(Full::default())
}

/// Returns a body that is complete.
pub(crate) fn complete(body: impl Into<Bytes>) -> HttpBody {
    Either::Right(Full::new(body.into()))
}
