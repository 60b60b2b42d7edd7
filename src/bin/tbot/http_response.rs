//! Reads the responses to HTTP requests, and describes requests without one. Depends on reqwest.

use std::error::Error;

use reqwest::Response;
use serde_json::Value;

/// Describes why there is no response. Never contains the address.
pub(crate) fn describe_error(error: reqwest::Error) -> String {
    // The innermost cause is the most specific and, unlike the outermost, never contains the address.
    let mut cause: &dyn Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    if cause.is::<reqwest::Error>() {
        return error.without_url().to_string();
    }
    cause.to_string()
}

/// Reads a body of at most `max_len` bytes. Returns `None` if it is longer or not JSON.
pub(crate) async fn read_json(mut response: Response, max_len: usize) -> Option<Value> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > max_len {
            return None;
        }
    }
    serde_json::from_slice(&body).ok()
}
