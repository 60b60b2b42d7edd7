//! The schemas in the tools of others: an editor's language server, ajv and check-jsonschema. Requires no feature, but the tools,
//! which `.ci/editors` installs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod authoring;
mod language_server;
mod mistakes;
mod tools;
