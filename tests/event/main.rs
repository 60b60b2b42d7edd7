//! Tests the event, from a configuration and an environment to the request body.

#![expect(clippy::unwrap_used, reason = "a failing test panics")]

mod cases;
mod closed_values;
mod declarations;
