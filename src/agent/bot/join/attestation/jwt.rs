//! Parses a JWT in compact form, such as an ID token. Checks only the form: the auth server verifies signature and
//! claims.

use std::fmt;

use super::error::{AttestationError, MAX_BYTES, RequestContext, TOO_LARGE};

const EMPTY: &str = "it is empty";
const NOT_COMPACT: &str = "a JWT has three base64url parts, separated by dots";

/// A JWT in compact form. Its `Debug` output does not contain the token.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Jwt(String);

impl Jwt {
    /// Parses `value`, which may have whitespace around it. `location` says in an error where `value` comes from.
    pub(super) fn parse(
        value: &str,
        context: RequestContext,
        location: impl fmt::Display,
    ) -> Result<Self, AttestationError> {
        let value = value.trim();
        let is_base64url = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        let problem = if value.is_empty() {
            EMPTY
        } else if value.len() > MAX_BYTES {
            TOO_LARGE
        } else if value.split('.').count() != 3 || !value.split('.').all(is_base64url) {
            NOT_COMPACT
        } else {
            return Ok(Self(value.to_owned()));
        };
        Err(context.malformed(location.to_string(), problem))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Returns the values to redact in messages: the token, and each of its parts, which may appear alone.
    pub(crate) fn secrets(&self) -> Vec<String> {
        std::iter::once(self.expose()).chain(self.0.split('.')).map(str::to_owned).collect()
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

    fn parse(value: &str) -> Result<Jwt, AttestationError> {
        Jwt::parse(value, RequestContext::id_token(""), "test")
    }

    #[test]
    fn only_the_compact_form_is_accepted_and_errors_do_not_repeat_the_value() {
        let too_large = format!("a.b.{}", "c".repeat(MAX_BYTES));
        for (value, expected) in [
            (" \n", EMPTY),
            (&too_large, TOO_LARGE),
            ("hunter2", NOT_COMPACT),
            ("a.b", NOT_COMPACT),
            ("a..c", NOT_COMPACT),
            ("a.b.c.d", NOT_COMPACT),
            ("a.b c.d", NOT_COMPACT),
            ("<html>.a.b", NOT_COMPACT),
        ] {
            let error = parse(value).unwrap_err();
            assert!(!error.to_string().contains(value), "{error}");
            let AttestationError::Malformed { problem, .. } = error else { panic!("{error}") };
            assert_eq!(problem, expected, "{value}");
        }
        assert_eq!(parse("\ta-1.b_2.c3\r\n").unwrap().expose(), "a-1.b_2.c3");
    }

    #[test]
    fn a_jwt_is_hidden_in_debug_output() {
        let jwt = parse("head.hunter1.hunter2").unwrap();
        assert!(!format!("{jwt:?}").contains("hunter"));
        assert_eq!(jwt.secrets(), ["head.hunter1.hunter2", "head", "hunter1", "hunter2"]);
    }
}
