//! The event, from a configuration and an environment to the body that would be sent.

#![expect(clippy::unwrap_used, reason = "a test says what broke by panicking")]

mod cases;
mod closed;
mod declarations;
