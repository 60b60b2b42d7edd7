//! The body of a response, in pieces. Depends on hyper.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use hyper::body::{Frame, SizeHint};

/// The maximum size of a piece. hyper takes each piece as a whole, however slowly the client reads, so with a whole report in
/// one piece, it would drop the body long before the client has received it.
const MAX_PIECE: usize = 16 * 1024;

/// A body that owns a guard until hyper has taken its last piece.
pub(super) struct ResponseBody<G> {
    body: Body,
    /// The part of the last frame of the body that was not sent yet.
    rest: Bytes,
    _guard: G,
}

impl<G> ResponseBody<G> {
    pub(super) fn new(body: Body, guard: G) -> Self {
        Self { body, rest: Bytes::new(), _guard: guard }
    }
}

impl<G: Unpin> hyper::body::Body for ResponseBody<G> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)).transpose()?.map(Frame::into_data) {
                None => return Poll::Ready(None),
                Some(Err(trailers)) => return Poll::Ready(Some(Ok(trailers))),
                Some(Ok(data)) => self.rest = data,
            }
        }
        let length = self.rest.len().min(MAX_PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = u64::try_from(self.rest.len()).unwrap_or(u64::MAX);
        let mut hint = self.body.size_hint();
        let upper = hint.upper();
        hint.set_lower(hint.lower() + rest);
        if let Some(upper) = upper {
            hint.set_upper(upper + rest);
        }
        hint
    }
}
