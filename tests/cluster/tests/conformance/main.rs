//! Compares the development cluster with recordings of a real server and with rules that were observed on one. Refusals
//! are worded as on a real server, which inline snapshots check.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a panic in a helper fails the test")]

mod authorities;
mod certificates;
mod client;
mod faults;
mod fixture;
mod issuance;
mod joining;
mod message_tree;
mod messages;
mod recording;
mod replay;
mod resources;
mod transport;
mod unrecorded;
mod workload_identity;
