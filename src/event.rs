//! The `tbot.start` event: one declaration per property, and a pure builder that executes the declarations.
//!
//! Depends on the *value* of the effective configuration, serde and schemars. Performs no I/O, does not use tokio, and reads
//! the configuration only at the pointers in the `x-source` keywords.
//!
//! A reviewer needs to read only one file, the [declarations](TbotStart). `schema/tbot.start.schema.json` is generated from
//! them, and the builder's rules, the preview's provenance, the request body, the documentation and the checks of a receiver
//! are all derived from that schema.

mod audit;
mod builder;
mod declaration;
mod request_body;
mod rules;
mod vocabulary;

pub use audit::audit;
pub use builder::{BuildContext, BuildError, BuiltEvent, EnvOutcome, EventProperty, Provenance, build};
pub use declaration::{EVENT_VERSION, Helper, RunMode, TbotStart, generate_schema};
pub use request_body::request_body;
pub use rules::{Rule, Rules, RulesError, SCHEMA, Transport, ValueSet};
pub use vocabulary::{BuildFact, PropertySource, WireMapping};
