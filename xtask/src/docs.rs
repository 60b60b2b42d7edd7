//! `cargo xtask docs` generates:
//!
//! - from the schemas: docs/telemetry.md, the same page for `tbot telemetry explain`, and docs/configuration.md
//! - from the table of claims: docs/proofs.md
//! - from the codes of diagnostics: docs/diagnostics, and its part of docs/SUMMARY.md
//! - from the definitions of the command lines: docs/man and docs/completions
//! - from the unit of `tbot install systemd`: that of the Debian package
//! - from the tables of service types and join methods: what runs, in docs/moving-from-the-go-agent.md and README.md

mod collection;
mod command_line;
mod configuration;
mod diagnostics;
mod environment;
mod manual;
mod markdown;
#[cfg(test)]
mod mutations;
mod packaged_unit;
mod proofs;
mod sections;
mod summary;
mod telemetry;
mod terminal;
mod what_runs;

use anyhow::Result;
use telemetry::TelemetryPage;

use crate::generated::GeneratedFile;
use crate::released;

/// The directories that contain only generated files.
pub(crate) const DIRECTORIES: &[&str] = &[diagnostics::DIRECTORY, "docs/man", "docs/completions"];

/// Returns the generated files.
pub(crate) fn generate() -> Result<Vec<GeneratedFile>> {
    let config = tbot::config::internal::schema::generate();
    let config_v1 = tbot::config::internal::schema::generate_v1();
    let events = released::versions(&tbot::event::internal::generate_schema())?;
    let telemetry = TelemetryPage::new(&events, &config, &config_v1, tbot::event::internal::REPOSITORY)?;
    let [explain, all_properties] = telemetry.terminal()?;
    let file = |path: &str, content: String| GeneratedFile { path: path.to_owned(), content };
    let mut files = vec![
        file("docs/telemetry.md", telemetry.markdown()),
        file("src/bin/tbot/telemetry/generated/explain.txt", explain),
        file("src/bin/tbot/telemetry/generated/all-properties.txt", all_properties),
        file("docs/configuration.md", configuration::page(&config, &config_v1)),
        file("docs/proofs.md", proofs::page(tbot::event::internal::Rules::embedded()?)?),
        file("docs/SUMMARY.md", summary::page()),
    ];
    files.extend(diagnostics::pages());
    files.extend(command_line::files()?);
    files.push(packaged_unit::file()?);
    files.extend(what_runs::pages(&xtask_launcher::root()?)?);
    Ok(files)
}
