//! `cargo xtask schema`: the JSON Schemas of the configuration and the event, from their Rust types.

use anyhow::{Result, bail};

use crate::generated::{GeneratedFile, pretty_json};
use crate::released::freeze;

/// Returns the files of `schema/`, including the frozen copy of an event version that is new.
///
/// # Errors
///
/// Returns an error if a declaration of the event violates the telemetry rules, or if a released version of the event has
/// changed.
pub(crate) fn generate() -> Result<Vec<GeneratedFile>> {
    let config = tbot::config::internal::schema::generate();
    let config_v1 = tbot::config::internal::schema::generate_v1();
    let event = tbot::event::internal::generate_schema();
    let violations = tbot::event::internal::audit(&event, &config);
    if !violations.is_empty() {
        bail!("the declarations of the event violate the telemetry rules:\n  {}", violations.join("\n  "));
    }
    let mut files = vec![
        GeneratedFile { path: "schema/tbot.schema.json".to_owned(), content: pretty_json(&config)? },
        GeneratedFile { path: "schema/tbot-v1.schema.json".to_owned(), content: pretty_json(&config_v1)? },
        GeneratedFile { path: "schema/tbot.start.schema.json".to_owned(), content: pretty_json(&event)? },
    ];
    files.extend(freeze(&event)?);
    Ok(files)
}
