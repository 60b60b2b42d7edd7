//! The response to a call that the auth server answers with a stream of messages.

use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Status;

pub(crate) type MessageStream<R> = UnboundedReceiverStream<Result<R, Status>>;
