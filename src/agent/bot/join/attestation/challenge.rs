//! Validates the challenge that an attestation must contain, so that an old attestation cannot be replayed. Pure.

/// The maximum length of a challenge, in bytes. Teleport's challenges have 32 or 43 bytes.
const MAX_LENGTH: usize = 128;

/// A challenge, in either base64 alphabet.
///
/// The agent copies it into a header that it signs and into a query string, before the cluster has proved its
/// identity. Other characters are therefore refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Challenge(String);

impl Challenge {
    /// Validates a challenge.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with `challenge`.
    pub(crate) fn new(challenge: String) -> Result<Self, &'static str> {
        let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_=".contains(&byte);
        if challenge.is_empty() {
            Err("its challenge is empty")
        } else if challenge.len() > MAX_LENGTH {
            Err("its challenge is longer than 128 bytes")
        } else if !challenge.bytes().all(is_base64) {
            Err("its challenge is not in base64")
        } else {
            Ok(Self(challenge))
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_base64_is_accepted() {
        for valid in ["0ezlc3usTAkXeZTcfOazUq0BGrRaKmb4EwODk8U7J5A", "a+/=", "a-_"] {
            assert_eq!(Challenge::new(valid.to_owned()).unwrap().as_str(), valid);
        }
        for invalid in ["", "a b", "a\r\nHost: b", "a;b", "é", &"a".repeat(MAX_LENGTH + 1)] {
            assert!(Challenge::new(invalid.to_owned()).is_err(), "{invalid}");
        }
    }
}
