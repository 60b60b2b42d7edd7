//! Integration tests of the receiver, on loopback and in temporary directories.
//!
//! Tests that need a ClickHouse server or chromium are ignored by default. Run them by name:
//!
//! - `.ci/clickhouse cargo test -p prehog --test prehog -- --ignored on_clickhouse`
//! - `cargo test -p prehog --test prehog -- --ignored in_a_browser`

#![expect(clippy::unwrap_used, reason = "a panic in a helper fails the test")]

mod abuse;
mod browser;
mod clock;
mod commands;
mod crash;
mod documentation;
mod exhaustion;
mod fixture;
mod fuzz;
mod outage;
mod privacy;
mod reports;
mod sqlite_files;
mod sqlite_folding;
mod stores;
mod tls;
mod wire;
