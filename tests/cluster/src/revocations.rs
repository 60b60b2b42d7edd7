//! The revoked X.509 SVIDs, and the streams that receive the list of them.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tonic::Status;

use crate::error::Error;
use crate::message_stream::MessageStream;
use crate::proto::StreamSignedCrlResponse;

/// The serial numbers of revoked SVIDs, each as the bytes of a DER integer.
pub(crate) type SerialNumbers = BTreeSet<Vec<u8>>;

/// The revoked X.509 SVIDs, and the clients that watch them.
#[derive(Default)]
pub(crate) struct Revocations(Mutex<RevocationState>);

#[derive(Default)]
struct RevocationState {
    serials: SerialNumbers,
    streams: Vec<UnboundedSender<Result<StreamSignedCrlResponse, Status>>>,
}

impl Revocations {
    /// Adds a stream. Its first message is the list as it is now, which `sign` signs.
    pub(crate) fn stream(
        &self,
        sign: impl FnOnce(&SerialNumbers) -> Result<StreamSignedCrlResponse, Error>,
    ) -> Result<MessageStream<StreamSignedCrlResponse>, Error> {
        let (sender, stream) = unbounded_channel();
        let mut state = self.lock();
        // Cannot fail: the receiver still exists.
        let _ = sender.send(Ok(sign(&state.serials)?));
        state.streams.push(sender);
        Ok(MessageStream::new(stream))
    }

    /// Adds a serial number, and sends the list to every stream.
    pub(crate) fn revoke(
        &self,
        serial: &[u8],
        sign: impl FnOnce(&SerialNumbers) -> Result<StreamSignedCrlResponse, Error>,
    ) -> Result<(), Error> {
        let mut state = self.lock();
        state.serials.insert(serial.to_vec());
        let list = sign(&state.serials)?;
        state.streams.retain(|stream| stream.send(Ok(list.clone())).is_ok());
        Ok(())
    }

    /// Ends every stream with status OK.
    pub(crate) fn end_streams(&self) {
        self.lock().streams.clear();
    }

    fn lock(&self) -> MutexGuard<'_, RevocationState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
