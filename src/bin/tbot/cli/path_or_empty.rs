//! The parser of paths that may be empty.

use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};

/// Returns a parser of paths that accepts an empty one, which counts as not set.
pub(super) fn path_or_empty() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}
