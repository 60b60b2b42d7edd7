//! What a cluster wants to see signed, so that nobody's old answer is good again. Pure.

/// More than any challenge has, in bytes: Teleport's are 32 and 43.
const LONGEST: usize = 128;

/// A challenge in base64, of either alphabet. It comes from who is not yet trusted with anything, and ends up in a header
/// that this agent signs and in a query that it asks: hence nothing else is taken for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Challenge(String);

impl Challenge {
    /// The error says what is wrong with it.
    pub(in crate::agent::bot::join) fn new(text: String) -> Result<Self, &'static str> {
        let in_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_=".contains(&byte);
        if text.is_empty() {
            Err("its challenge is empty")
        } else if text.len() > LONGEST {
            Err("its challenge is longer than 128 bytes")
        } else if !text.bytes().all(in_base64) {
            Err("its challenge is not in base64")
        } else {
            Ok(Self(text))
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
    fn nothing_but_base64_is_taken_for_a_challenge() {
        for good in ["0ezlc3usTAkXeZTcfOazUq0BGrRaKmb4EwODk8U7J5A", "a+/=", "a-_"] {
            assert_eq!(Challenge::new(good.to_owned()).unwrap().as_str(), good);
        }
        for bad in ["", "a b", "a\r\nHost: b", "a;b", "é", &"a".repeat(LONGEST + 1)] {
            assert!(Challenge::new(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
