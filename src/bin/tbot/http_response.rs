//! Reads the responses to HTTP requests. Depends on reqwest.

use reqwest::Response;
use serde_json::Value;

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
