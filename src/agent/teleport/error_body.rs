//! Reads the error bodies of Teleport's HTTP APIs.

use serde::Deserialize;

/// Returns the message of an error body, `{"error":{"message":"…"}}`, or the start of any other body.
pub(crate) fn error_message(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Body {
        error: Error,
    }
    #[derive(Deserialize)]
    struct Error {
        message: String,
    }
    match serde_json::from_slice::<Body>(body) {
        Ok(body) => body.error.message,
        Err(_) => String::from_utf8_lossy(body).trim().chars().take(300).collect(),
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
            error_message(body.as_bytes()),
            r#""" can not join the cluster with role "Bot", token expired or not found"#
        );
        assert_eq!(error_message(b" <h1>Bad gateway</h1> "), "<h1>Bad gateway</h1>");
    }
}
