//! Tests the schemas, and the files for CI systems in the documentation, with third-party tools: an editor's language server,
//! ajv and check-jsonschema. `.ci/editors` installs them. Requires no feature.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod authoring;
mod documentation;
mod language_server;
mod mistakes;
mod tools;
