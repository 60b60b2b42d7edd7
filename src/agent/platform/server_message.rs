//! Messages of servers, which errors contain.

use std::fmt;

use crate::untrusted::escape;

/// A message of a server. Displays it on one line, without characters that affect a terminal, and cut if it is long.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerMessage(String);

impl ServerMessage {
    /// Returns the message as the server sent it, to recognise it. Must not be printed.
    pub(crate) fn raw(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for ServerMessage {
    fn from(message: T) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for ServerMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape(&self.0))
    }
}

impl fmt::Debug for ServerMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}
