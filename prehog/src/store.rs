//! Stores of starts: the [`Store`] trait, its SQLite and ClickHouse implementations, and the threads that write to a
//! store and maintain it.
//!
//! A store keeps how often each distinct start happened on each day, and nothing that distinguishes two equal starts. To
//! count a repeated submission only once, it also keeps every `distinct_id` for a day: together with its start until the
//! submission is counted, and separately after that.

mod backend;
mod clickhouse;
mod distinct_values;
mod expiry;
mod maintenance;
mod migrations;
mod reopening;
mod sqlite;
mod url;
mod writer;

pub use backend::{
    FOLD_BATCH, FoldResult, ID_RETENTION_DAYS, MAX_BATCH, ProbeResult, Sink, Store, StoreError, Tally,
    WeekTally,
};
pub use clickhouse::{ClickHouse, ClickHouseUrl};
pub use distinct_values::MAX_DISTINCT_VALUES;
pub use expiry::{DAY_END_GRACE, MIN_RETENTION_DAYS, TRUSTED_AFTER_DAYS, first_open_day, first_retained_day};
pub use maintenance::MAX_FOLD_DELAY;
pub use sqlite::Sqlite;
pub use url::{DEFAULT_STORE, ParseStoreUrlError, StoreUrl};
pub use writer::{StartWriterError, WriteError, Writer, WriterThreads};
