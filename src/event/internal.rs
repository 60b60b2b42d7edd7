//! Items that only the programs of this repository and their tests use: the rules of the event, which are read from its schema,
//! and the functions that need them. Not part of the public API, and may change at any time.

pub use super::audit::{VARIABLES, audit};
pub use super::builder::build;
pub use super::declaration::generate_schema;
pub use super::request_body::request_body;
pub use super::rules::{Rule, Rules, RulesError, Transport, ValueSet};
pub use super::vocabulary::{BuildFact, Implementation, PropertySource, ReportPart, WireMapping};

/// The address of the source code in the package's metadata. Empty if there is none.
pub const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");
