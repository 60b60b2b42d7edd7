//! Advice for the operator about an error.

use std::borrow::Cow;
use std::fmt;

/// Advice for the operator about an error: a phrase in lower case, without a full stop.
///
/// An error does not contain its hint in its message. Only the message of several errors contains the hint of each, so that such an
/// error has none itself. A program shows the hint after the message and the sources of the error, for example on a separate line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint(Cow<'static, str>);

impl Hint {
    pub(crate) const fn new(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }

    /// Returns the text of the hint.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&'static str> for Hint {
    fn from(text: &'static str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Hint {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
