//! Reads the error bodies of Teleport's HTTP APIs.

use serde::Deserialize;

use crate::agent::platform::ServerMessage;

/// Returns the message of an error body, `{"error":{"message":"…"}}`, or any other body.
pub(crate) fn error_message(body: &[u8]) -> ServerMessage {
    #[derive(Deserialize)]
    struct Body {
        error: Error,
    }
    #[derive(Deserialize)]
    struct Error {
        message: String,
    }
    match serde_json::from_slice::<Body>(body) {
        Ok(body) => body.error.message.into(),
        Err(_) => String::from_utf8_lossy(body).trim().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::recordings::recorded;

    #[test]
    fn the_message_of_a_recorded_error_is_returned() {
        let recorded = recorded("join-refused.http");
        let (_, body) = recorded.split_once('\n').unwrap();
        assert_eq!(
            error_message(body.as_bytes()).raw(),
            r#""" can not join the cluster with role "Bot", token expired or not found"#
        );
        assert_eq!(error_message(b" <h1>Bad gateway</h1> ").raw(), "<h1>Bad gateway</h1>");
    }
}
