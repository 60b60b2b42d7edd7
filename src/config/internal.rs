//! Items that only the programs of this repository and their tests use. Not part of the public API, and may change at any time.

pub use super::explain::check_structure;
pub use super::scalar::Sensitivity;
pub use super::schema::FormatVersion;
pub use super::service::{
    AccessClass, DestinationUse, FlagType, ListenerClients, Requirement, ServiceCommand, ServiceFields,
    ServiceFlag,
};
pub use super::support::UnsupportedProperty;
pub use super::variables::EnvironmentVariables;

/// Version 1 of the format, which is converted to version 2 when a file is loaded.
pub mod v1 {
    pub use crate::config::v1::*;
}

/// The JSON Schemas of the configuration: embedded, generated, and looked up.
pub mod schema {
    pub use crate::config::schema::{
        CONFIG, CONFIG_V1, SchemaViolation, ViolatedKeyword, class_of, generate, generate_v1, is_union,
        locate, property_class, resolve, union_branches, violations,
    };
}
