//! Items that only the programs of this repository and their tests use. Not part of the public API, and may change at any time.

pub use super::scalar::Sensitivity;
pub use super::schema::FormatVersion;
pub use super::service::{
    AccessClass, DestinationUse, FlagType, ListenerClients, Requirement, ServiceCommand, ServiceFlag,
};
pub use super::structure::check_structure;
pub use super::variables::EnvironmentVariables;

/// Returns what to write instead of a word that is used for a service type, such as `svid`.
#[must_use]
pub fn service_type_help(word: &str) -> Option<String> {
    super::words::find(&[super::words::WordPlace::ServiceType], word).map(super::words::Meaning::help)
}

/// Version 1 of the format, which is converted to version 2 when a file is loaded.
pub mod v1 {
    pub use crate::config::v1::*;
}

/// The JSON Schemas of the configuration: generated, and looked up.
pub mod schema {
    pub use crate::config::schema::{
        SchemaViolation, ViolatedKeyword, class_of, generate, generate_v1, is_union, locate, property_class,
        resolve, union_branches, violations,
    };
}
