//! Writes the pages that are generated from the schemas: what telemetry collects, and the configuration's reference.

mod configuration;
mod environment;
mod ledger;
mod markdown;
mod telemetry;

use anyhow::Result;
use serde_json::Value;

use crate::generate::{Generated, Mode, apply};

/// `cargo xtask docs`.
pub(crate) fn docs(mode: Mode) -> Result<()> {
    let config = tbot::config::schema::generate();
    let config_v1 = tbot::config::schema::generate_v1();
    let event = tbot::event::generate();
    let files = [
        Generated {
            path: "docs/telemetry.md".into(),
            content: telemetry::page(&event, &config, &config_v1)?,
        },
        Generated { path: "docs/configuration.md".into(), content: configuration::page(&config, &config_v1) },
    ];
    apply(mode, "cargo xtask docs", &files)
}

/// The first line of a generated page.
const NOTICE: &str = "<!-- Generated from the schemas by `cargo xtask docs`; do not edit. -->\n";

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}
