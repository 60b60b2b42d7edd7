//! The compact form of a JWT, which ID tokens have. Checks the form only: the auth server verifies signature and claims.

use std::fmt;

use super::error::{AttestationError, MAX_BYTES, RequestContext, TOO_LARGE};

const EMPTY: &str = "it is empty";
const NOT_COMPACT: &str = "a JWT has three base64url parts, separated by dots";

/// A JWT in compact form. Its `Debug` output does not contain the token.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Jwt(String);

impl Jwt {
    /// Parses `text`, which may have whitespace around it. `location` says in an error where `text` comes from.
    pub(super) fn parse(
        text: &str,
        context: RequestContext,
        location: impl fmt::Display,
    ) -> Result<Self, AttestationError> {
        let text = text.trim();
        let is_base64url = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        let problem = if text.is_empty() {
            EMPTY
        } else if text.len() > MAX_BYTES {
            TOO_LARGE
        } else if text.split('.').count() != 3 || !text.split('.').all(is_base64url) {
            NOT_COMPACT
        } else {
            return Ok(Self(text.to_owned()));
        };
        Err(context.malformed(location.to_string(), problem))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Replaces the token in `message` with `...`, and also each of its parts, in case only those are repeated.
    pub(crate) fn redact(&self, message: &str) -> String {
        self.0.split('.').fold(message.replace(&self.0, "..."), |message, part| message.replace(part, "..."))
    }
}

impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Jwt(...)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Jwt, AttestationError> {
        Jwt::parse(text, RequestContext::id_token(""), "it")
    }

    #[test]
    fn only_the_compact_form_is_accepted_and_errors_do_not_repeat_the_value() {
        let too_large = format!("a.b.{}", "c".repeat(MAX_BYTES));
        for (text, expected) in [
            (" \n", EMPTY),
            (&too_large, TOO_LARGE),
            ("hunter2", NOT_COMPACT),
            ("a.b", NOT_COMPACT),
            ("a..c", NOT_COMPACT),
            ("a.b.c.d", NOT_COMPACT),
            ("a.b c.d", NOT_COMPACT),
            ("<html>.a.b", NOT_COMPACT),
        ] {
            let error = parse(text).unwrap_err();
            assert!(!error.to_string().contains(text), "{error}");
            let AttestationError::Malformed { problem, .. } = error else { panic!("{error}") };
            assert_eq!(problem, expected, "{text}");
        }
        assert_eq!(parse("\ta-1.b_2.c3\r\n").unwrap().expose(), "a-1.b_2.c3");
    }

    #[test]
    fn a_jwt_is_hidden_in_debug_output_and_redacted_in_messages() {
        let jwt = parse("head.hunter1.hunter2").unwrap();
        assert!(!format!("{jwt:?}").contains("hunter"));
        let redacted = jwt.redact("got head.hunter1.hunter2 with claims hunter1 and signature hunter2");
        assert_eq!(redacted, "got ... with claims ... and signature ...");
    }
}
