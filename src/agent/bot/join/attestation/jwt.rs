//! A JWT in its compact form, as identity tokens are. Pure: what is in it is for the server to judge.

use std::fmt;

use super::{LARGEST, ProofError};

/// A JWT in its compact form. Prints as `...`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Jwt(String);

impl Jwt {
    /// What `place` gave for the `what` that was wanted, without the space around it.
    pub(super) fn new(text: &str, what: &'static str, place: impl fmt::Display) -> Result<Self, ProofError> {
        let text = text.trim();
        let part = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        let problem = if text.is_empty() {
            "it is empty"
        } else if text.len() > LARGEST {
            "it is longer than 64 KiB"
        } else if text.split('.').count() != 3 || !text.split('.').all(part) {
            "a JWT has three parts in base64url, with dots between them"
        } else {
            return Ok(Self(text.to_owned()));
        };
        Err(ProofError::Malformed { what, place: place.to_string(), problem })
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// `text` without what gives access: neither the whole nor, where only that was repeated, its claims or signature.
    pub(in crate::agent::bot::join) fn taken_out_of(&self, text: &str) -> String {
        self.0.split('.').fold(text.replace(&self.0, "..."), |text, part| text.replace(part, "..."))
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

    #[test]
    fn only_the_form_of_a_jwt_is_taken() {
        let new = |text: &str| Jwt::new(text, "identity token", "it");
        let refused = |text: &str| new(text).unwrap_err().to_string();
        assert!(refused(" \n").contains("it is empty"));
        assert!(refused(&format!("a.b.{}", "c".repeat(LARGEST))).contains("64 KiB"));
        for text in ["hunter2", "a.b", "a..c", "a.b.c.d", "a.b c.d", "<html>.a.b"] {
            let refused = refused(text);
            assert!(refused.contains("three parts") && !refused.contains(text), "{refused}");
        }
        assert_eq!(new("\ta-1.b_2.c3\r\n").unwrap().expose(), "a-1.b_2.c3");
    }

    #[test]
    fn a_jwt_never_prints_and_is_taken_out_of_what_repeats_it() {
        let jwt = Jwt::new("head.hunter1.hunter2", "identity token", "it").unwrap();
        assert!(!format!("{jwt:?}").contains("hunter"));
        let said = jwt.taken_out_of("got head.hunter1.hunter2, of which hunter1 says it, and hunter2 signs");
        assert_eq!(said, "got ..., of which ... says it, and ... signs");
    }
}
