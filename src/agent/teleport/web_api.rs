//! Requests the unauthenticated JSON documents of the proxy's web API.

use http::StatusCode;
use serde::de::DeserializeOwned;

use super::error_body::error_message;
use crate::agent::credential::cluster_name::ClusterNameError;
use crate::agent::net::web::{HttpError, WebClient};
use crate::agent::platform::ServerMessage;
use crate::agent::platform::error_text::describe_json_error;

/// Why there is no usable document.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum WebApiError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("HTTP status {status}: {message}")]
    ErrorStatus { status: StatusCode, message: ServerMessage },
    #[error("the response is not that of a Teleport proxy: {0}")]
    NotTeleport(String),
    #[error(transparent)]
    ClusterName(#[from] ClusterNameError),
}

impl WebApiError {
    /// Returns true if a retry may succeed without any change by an operator: there was no response, or the server reported an
    /// internal failure or a rate limit. Every other response is final.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Http(error) => matches!(error, HttpError::Connection(_)),
            Self::ErrorStatus { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            Self::NotTeleport(_) | Self::ClusterName(_) => false,
        }
    }
}

/// Returns the body of a successful response.
pub(super) async fn get(web: &WebClient, path: &str) -> Result<Vec<u8>, WebApiError> {
    let response = web.get(path).await?;
    if response.status.is_success() {
        return Ok(response.body);
    }
    let redirect = response.location_host.filter(|_| response.status.is_redirection());
    let message = match redirect {
        Some(host) => ServerMessage::from(format!("a redirect to {host}")),
        None => error_message(&response.body),
    };
    Err(WebApiError::ErrorStatus { status: response.status, message })
}

pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, WebApiError> {
    serde_json::from_slice(body).map_err(|error| WebApiError::NotTeleport(describe_json_error(&error)))
}
