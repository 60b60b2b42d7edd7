//! Tests of the configuration through the public API: the diagnostics of a file, and the agreement of types and schema.
//! Requires no feature.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agreement;
mod all_at_once;
mod canaries;
mod cases;
mod durations;
mod emitted;
mod fuzz;
mod listeners;
mod malformed_input;
mod non_interference;
mod overlaps;
mod overrides;
mod proposals;
mod schemas;
mod secrets;
mod values;
