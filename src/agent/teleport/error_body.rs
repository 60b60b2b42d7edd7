//! Reads the error bodies of Teleport's HTTP APIs.

use serde::Deserialize;

use crate::agent::platform::ServerMessage;

/// Returns the message of an error body, `{"error":{"message":"…"}}`, or any other body, unless it is empty or a page for people.
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
        Err(_) => match String::from_utf8_lossy(body).trim() {
            "" => "an empty response".into(),
            body if is_html(body) => "an HTML page".into(),
            body => body.into(),
        },
    }
}

fn is_html(body: &str) -> bool {
    let begins_with =
        |prefix: &str| body.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    begins_with("<!doctype html") || begins_with("<html")
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
        for page in ["<!DOCTYPE html>\n<title>a</title>", " <html lang=en>"] {
            assert_eq!(error_message(page.as_bytes()).raw(), "an HTML page");
        }
        assert_eq!(error_message(b" \n").raw(), "an empty response");
    }
}
