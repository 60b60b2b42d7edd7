//! The configuration from outside: what is said of a file, and that types and schema agree. Needs no feature.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agreement;
mod cases;
mod durations;
mod emitted;
mod hostile;
mod schemas;
mod secrets;
mod values;
