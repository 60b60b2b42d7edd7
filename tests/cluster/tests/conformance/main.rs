//! Holds the development cluster against recordings of a real server, and against the rules that were observed on one.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what helps a test fails as the test does")]

mod access;
mod certificates;
mod client;
mod faults;
mod messages;
mod recording;
mod replay;
mod rotation;
mod rules;
mod wire;
mod workload_identity;
