//! The `tbot.start` event: one declaration a property, and a pure builder that executes them.
//!
//! Depends on the effective configuration's *value*, serde and schemars. It does no I/O, knows no tokio, and reads
//! configuration only where a declaration's `x-source` points.
//!
//! A reviewer reads one file, [`declaration`](TbotStart): from it come `schema/tbot.start.schema.json`, and from that
//! file the builder's rules, the preview's provenance, the wire, the docs page and a receiver's check.

mod audit;
mod builder;
mod declaration;
mod rules;
mod vocabulary;
mod wire;

pub use audit::audit;
pub use builder::{BuildError, Built, Facts, Property, Provenance, Verdict, build};
pub use declaration::{EVENT_VERSION, Helper, RunMode, TbotStart};
pub use rules::{Rule, Rules, RulesError, Transport, Values};
pub use vocabulary::{BuildFact, Source, Wire};
pub use wire::body;

use serde_json::Value;

/// The JSON Schema (2020-12) of the event, as it is embedded in this program.
pub const SCHEMA: &str = include_str!("../schema/tbot.start.schema.json");

/// Generates the schema of the event from its declarations.
pub fn generate() -> Value {
    crate::config::schema::generate_root::<TbotStart>("tbot.start.schema.json", "tbot.start")
}
