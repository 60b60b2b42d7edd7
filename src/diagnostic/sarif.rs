//! Writes diagnostics as a log of the Static Analysis Results Interchange Format, version 2.1.0:
//! <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>. Depends on `report`.
//!
//! The log has what GitHub's code scanning requires: a rule per code, and at least the first line of a location.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::Target;
use super::code::{Code, Severity};
use super::report::{LocatedDiagnostic, Report};
use super::source_file::SourceFile;
use super::terminal::sanitize;
use crate::yaml::Span;

/// The characters of a path that a URI cannot contain as they are.
const NOT_IN_PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) fn write(out: &mut dyn fmt::Write, reports: &[Report<'_>]) -> fmt::Result {
    let is_reported = |code: &&Code| {
        reports.iter().flat_map(Report::diagnostics).any(|diagnostic| diagnostic.code == **code)
    };
    let codes: Vec<Code> = Code::ALL.iter().filter(is_reported).copied().collect();
    let results = reports
        .iter()
        .flat_map(|report| report.located().iter().map(|located| result(report.source(), located, &codes)))
        .collect();
    let driver = Driver {
        name: "tbot",
        semantic_version: env!("CARGO_PKG_VERSION"),
        rules: codes.iter().copied().map(rule).collect(),
    };
    let log = Log {
        schema: "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        version: "2.1.0",
        runs: [Run { tool: Tool { driver }, column_kind: "unicodeCodePoints", results }],
    };
    writeln!(out, "{}", serde_json::to_string_pretty(&log).map_err(|_| fmt::Error)?)
}

#[derive(Serialize)]
struct Log {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    tool: Tool,
    column_kind: &'static str,
    results: Vec<Finding>,
}

#[derive(Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Driver {
    name: &'static str,
    semantic_version: &'static str,
    rules: Vec<Rule>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    id: &'static str,
    short_description: Message,
    full_description: Message,
    help: Help,
    default_configuration: DefaultConfiguration,
}

#[derive(Serialize)]
struct Help {
    text: String,
    markdown: String,
}

#[derive(Serialize)]
struct DefaultConfiguration {
    level: &'static str,
}

#[derive(Serialize)]
struct Message {
    text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding {
    rule_id: &'static str,
    rule_index: Option<usize>,
    level: &'static str,
    message: Message,
    locations: [Location; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    related_locations: Vec<Location>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    physical_location: PhysicalLocation,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Message>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation {
    artifact_location: ArtifactLocation,
    region: Region,
}

#[derive(Serialize)]
struct ArtifactLocation {
    uri: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: usize,
    start_column: usize,
    end_line: usize,
    end_column: usize,
}

fn rule(code: Code) -> Rule {
    let explanation = code.explanation();
    let message = |text: &str| Message { text: text.to_owned() };
    // The text is Markdown already, and readable without being rendered.
    let help = format!("{}\n{}", explanation.reason, explanation.remedy);
    Rule {
        id: code.name(),
        short_description: message(code.title()),
        full_description: message(code.summary()),
        help: Help { text: help.clone(), markdown: help },
        default_configuration: DefaultConfiguration { level: level(code.severity()) },
    }
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

fn result(source: &SourceFile<'_>, located: &LocatedDiagnostic, codes: &[Code]) -> Finding {
    let diagnostic = &located.diagnostic;
    let mut text = sanitize(&diagnostic.message).into_owned();
    if let Target::Override(name) = &diagnostic.target {
        text = format!("{}: {text}", sanitize(name));
    }
    if let Some(help) = &diagnostic.help {
        text += &format!("\nhelp: {}", sanitize(help));
    }
    let related = diagnostic.related.iter().map(|(description, target)| Location {
        physical_location: physical_location(source, source.locate(target)),
        message: Some(Message { text: sanitize(description).into_owned() }),
    });
    Finding {
        rule_id: diagnostic.code.name(),
        rule_index: codes.iter().position(|code| *code == diagnostic.code),
        level: level(diagnostic.severity),
        message: Message { text },
        locations: [Location { physical_location: physical_location(source, located.span), message: None }],
        related_locations: related.collect(),
    }
}

/// Returns a location in the file. A finding without a position is shown at the start of the file.
fn physical_location(source: &SourceFile<'_>, span: Option<Span>) -> PhysicalLocation {
    let path = utf8_percent_encode(source.name(), NOT_IN_PATH);
    let scheme = if source.name().starts_with('/') { "file://" } else { "" };
    let region =
        span.map_or(Region { start_line: 1, start_column: 1, end_line: 1, end_column: 1 }, |span| Region {
            start_line: span.start.line,
            start_column: span.start.column,
            end_line: span.end.line,
            end_column: span.end.column,
        });
    PhysicalLocation { artifact_location: ArtifactLocation { uri: format!("{scheme}{path}") }, region }
}
