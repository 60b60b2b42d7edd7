//! The receiver of `tbot`'s anonymous usage events: accepts them over Connect, validates them against the event's own
//! schema, stores them, and reports on them.
//!
//! | module | purpose | may depend on | must never |
//! | --- | --- | --- | --- |
//! | [`day`] | days and weeks; no finer time is stored | jiff | read a clock |
//! | [`start`](mod@start) | a start as it is stored | `day`, serde | contain anything about its sender |
//! | [`wire`] | the generated messages of the wire protocol | buffa, connectrpc | be edited by hand |
//! | [`schema`] with [`property`] and [`facet`] | what follows from the declarations of the event: properties and facets | `tbot::event`, `start`, the names in `wire` | treat a property specially because of its name |
//! | [`validation`] | converts a message to a [`Start`](start::Start), or to an error that names the invalid field | `wire`, `schema` | do I/O; know the sender |
//! | [`ingest`] with `malformed` | the Connect service: validates, stores, acknowledges | `validation`, `store`, `metrics` | log or keep any other part of a request |
//! | [`limits`] | limits per client | only std | write anything to disk |
//! | [`server`] | listeners, connections, timeouts, health checks | axum, hyper, `ingest`, `limits` | show stored data on the public listener |
//! | [`store`] | the trait, and the SQLite and ClickHouse stores | `schema`, `start`, `metrics`, rusqlite, ureq, rustls | acknowledge an event that is not stored |
//! | [`report`](mod@report) | builds a report from rounded weekly counts, as HTML, JSON and CSV | `schema`, `day`, `store`, serde, maud | contain an event or a group that is too small |
//! | [`docs`] | the section about prehog in docs/telemetry.md | the constants and the schema | state what neither determines |
//! | [`metrics`] | counters and their text format | prometheus-client | have a label whose values a sender chooses |
//!
//! The clock is an argument. Nothing here prints. Only the ClickHouse store and the simulated agents of the feature `load`
//! open connections.

pub mod clock;
pub mod day;
pub mod docs;
pub mod facet;
pub mod ingest;
pub mod limits;
#[cfg(feature = "load")]
pub mod load;
mod malformed;
pub mod metrics;
pub mod property;
pub mod report;
pub mod schema;
pub mod server;
pub mod start;
pub mod store;
pub mod validation;
pub mod wire;

pub use server::{Options, serve};
