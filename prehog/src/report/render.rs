//! The formats of a report. Pure.

use super::model::Report;
use super::navigation::Navigation;
use super::{csv, html};

/// The format of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A self-contained page.
    Html,
    /// A JSON object.
    Json,
    /// One row per number.
    Csv,
}

impl Format {
    /// Returns the media type of the format.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=utf-8",
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }

    /// Renders a message instead of a report: as a page or, in the formats for programs, as a line of text.
    pub fn render_message(self, title: &str, message: &str) -> String {
        match self {
            Self::Html => html::message(title, message).into_string(),
            Self::Json | Self::Csv => format!("{message}\n"),
        }
    }
}

impl Report {
    /// Renders the report.
    pub fn render(&self, format: Format) -> String {
        self.render_with(format, None)
    }

    /// Renders the report. A page that is served has links.
    pub fn render_with(&self, format: Format, navigation: Option<&Navigation>) -> String {
        match format {
            Format::Html => html::page(self, navigation).into_string(),
            // Serialising numbers, strings and lists does not fail.
            Format::Json => {
                serde_json::to_string_pretty(self).map_or_else(|_| String::new(), |json| json + "\n")
            }
            Format::Csv => csv::csv(self),
        }
    }
}
