//! The receiver as a whole, on loopback and in temporary folders.

#![expect(clippy::unwrap_used, reason = "helpers of tests, which end a test that cannot go on")]

mod abuse;
mod browser;
mod commands;
mod crash;
mod lab;
mod outage;
mod privacy;
mod reports;
mod stores;
mod wire;
