//! Integration tests of the receiver, on loopback and in temporary directories.
//!
//! Tests that need ClickHouse or chromium are ignored by default. Run them by name:
//!
//! - `.ci/clickhouse cargo test -p prehog --test prehog -- --ignored on_clickhouse`
//! - `.ci/chdb cargo test -p prehog --test prehog -- --ignored on_chdb`
//! - `.ci/clickhouse-cluster cargo test -p prehog --test prehog -- --ignored on_cluster`
//! - `cargo test -p prehog --test prehog -- --ignored in_a_browser`

#![expect(clippy::unwrap_used, reason = "a panic in a helper fails the test")]

mod abuse;
mod browser;
mod clickhouse;
mod clock;
mod commands;
mod crash;
mod documentation;
mod exhaustion;
mod fixture;
mod fuzz;
mod on_cluster;
mod outage;
mod privacy;
mod reports;
mod sqlite_files;
mod sqlite_folding;
mod stores;
mod tls;
mod wire;
