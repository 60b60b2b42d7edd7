//! The receiver of `tbot`'s anonymous events: takes them over Connect, checks them by the event's own schema, stores
//! them, and answers what they say.
//!
//! | part | story | may depend on | must never |
//! | --- | --- | --- | --- |
//! | [`day`] | days and whole weeks, the finest time that is kept | jiff | read a clock |
//! | [`start`](mod@start) | one start as it is stored, and its facets | `day`, serde | hold anything of its sender |
//! | [`wire`] | the messages on the wire, generated | buffa, connectrpc | be edited by hand |
//! | [`check`] | a message on the wire to a [`Start`](start::Start), or a refusal that names the field | `wire`, `tbot::event` | do I/O; know who sent it |
//! | [`ingest`] | the Connect service: check, store, answer | `check`, `store`, `metrics` | log or keep anything of a request |
//! | [`limits`] | how much one sender, and all together, may ask for | nothing but std | write anything down |
//! | [`server`] | listeners, connections, timeouts, health | axum, hyper, `ingest`, `limits` | answer with what is stored on the public listener |
//! | [`store`] | the trait, and its two stores: SQLite and ClickHouse | `start`, rusqlite, ureq | acknowledge what is not stored |
//! | [`report`](mod@report) | weekly tallies to a report without small groups, as HTML, JSON and CSV | `start`, `day`, serde | see an event, or a group that is too small |
//! | [`docs`] | what docs/telemetry.md says of this crate, from its constants | the constants | say what no constant decides |
//! | [`metrics`] | counters and their text form | nothing but std | have a label that a sender chooses |
//!
//! The clock is an argument. Nothing here prints, and nothing opens a connection but the ClickHouse store, and the
//! simulated agents of the feature `load`.

pub mod check;
pub mod clock;
pub mod day;
pub mod docs;
pub mod ingest;
pub mod limits;
#[cfg(feature = "load")]
pub mod load;
pub mod metrics;
pub mod report;
pub mod server;
pub mod start;
pub mod store;
pub mod wire;

pub use server::{Options, serve};
