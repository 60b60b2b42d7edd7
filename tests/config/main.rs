//! The configuration from outside: what is said of a file, and that types and schema agree. Needs no feature.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cases;
mod hostile;
