//! A bar chart as an SVG picture, for the documentation: one bar for each program of a comparison.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// The sizes of the picture in pixels.
const WIDTH: f64 = 640.0;
const BAR: f64 = 22.0;
const ROW: f64 = 34.0;
const LABELS: f64 = 150.0;
const RESULTS: f64 = 90.0;
const TITLE: f64 = 40.0;

/// Readable on light and dark pages.
const CSS: &str = "\
text { font-family: system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif; font-size: 14px; fill: #24292f; }
.title { font-weight: 600; } .own { fill: #0969da; } .other { fill: #8c959f; }
@media (prefers-color-scheme: dark) { text { fill: #d7dce5; } .own { fill: #58a6ff; } .other { fill: #6e7681; } }";

/// A program and its result.
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) value: f64,
    /// The value with its unit.
    pub(crate) result: String,
}

/// Writes a chart to a file in a directory, and creates the directory if it is missing.
pub(crate) fn write(directory: &Path, file: &str, title: &str, bars: &[Bar]) -> Result<()> {
    let path = directory.join(file);
    let written = fs::create_dir_all(directory).and_then(|()| fs::write(&path, draw(title, bars)));
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// Draws bars, of which the first one is emphasized.
fn draw(title: &str, bars: &[Bar]) -> String {
    let rows: Vec<(f64, &Bar)> = std::iter::successors(Some(TITLE), |y| Some(y + ROW)).zip(bars).collect();
    let height = rows.last().map_or(TITLE, |(y, _)| y + ROW);
    let largest = bars.iter().map(|bar| bar.value).fold(f64::MIN_POSITIVE, f64::max);
    let title = escape(title);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\">\n<title>{title}</title>\n<style>{CSS}</style>\n<text class=\"title\" x=\"0\" y=\"20\">{title}</text>\n"
    );
    for (index, (y, bar)) in rows.iter().enumerate() {
        let length = ((WIDTH - LABELS - RESULTS) * bar.value / largest).max(1.0);
        let class = if index == 0 { "own" } else { "other" };
        let text = y + BAR * 0.7;
        let (name, result, after) = (escape(&bar.name), escape(&bar.result), LABELS + length + 8.0);
        // Writing to a String cannot fail.
        let _ = writeln!(
            svg,
            "<text x=\"0\" y=\"{text:.0}\">{name}</text>\
             <rect class=\"{class}\" x=\"{LABELS}\" y=\"{y:.0}\" width=\"{length:.1}\" height=\"{BAR}\" rx=\"3\"/>\
             <text x=\"{after:.1}\" y=\"{text:.0}\">{result}</text>"
        );
    }
    svg + "</svg>\n"
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
