//! Watches the list of revoked X.509 SVIDs. The server sends the whole list at once, and again after each change.

use tonic::codec::Streaming;

use super::AuthClient;
use crate::agent::credential::revocation_list::RevocationList;
use crate::agent::teleport::api_error::{ApiError, from_status};
use crate::agent::teleport::grpc::{CALL_TIMEOUT, server_stream};
use crate::agent::teleport::messages::{StreamSignedCrlRequest, StreamSignedCrlResponse};

const STREAM_SIGNED_CRL: &str =
    "/teleport.workloadidentity.v1.WorkloadIdentityRevocationService/StreamSignedCRL";

/// A watch that has started: its stream contains every later version of the list.
pub(crate) struct RevocationWatch(Streaming<StreamSignedCrlResponse>);

impl RevocationWatch {
    /// Returns the next version of the list, or `None` if the server ended the stream.
    pub(crate) async fn next(&mut self) -> Result<Option<RevocationList>, ApiError> {
        let message = self.0.message().await.map_err(|status| from_status(STREAM_SIGNED_CRL, status))?;
        message.map(|StreamSignedCrlResponse { crl }| parse(&crl)).transpose()
    }
}

impl AuthClient {
    /// Returns the current list of revoked X.509 SVIDs, and a watch of its later versions.
    pub(crate) async fn watch_revocations(&self) -> Result<(RevocationList, RevocationWatch), ApiError> {
        let request = StreamSignedCrlRequest {};
        let (StreamSignedCrlResponse { crl }, stream) =
            server_stream(&self.channel, STREAM_SIGNED_CRL, request, CALL_TIMEOUT).await?;
        Ok((parse(&crl)?, RevocationWatch(stream)))
    }
}

fn parse(crl: &[u8]) -> Result<RevocationList, ApiError> {
    RevocationList::from_der(crl).map_err(|_| ApiError::RevocationList)
}
