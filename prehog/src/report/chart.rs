//! SVG charts: horizontal bars for the values of a table, columns for days. Pure. Each chart has a title and a description
//! for screen readers, and is followed by a table with the same numbers.

use std::fmt::Write as _;

use super::model::{Count, Row};

/// The height of a label and the bar below it, in pixels.
const ROW_HEIGHT: u32 = 44;
/// The maximum number of bars in a chart. The table has all values.
const MAX_BARS: usize = 12;
/// The vertical positions of the top of the tallest column and of the baseline, in pixels.
const TOP: u32 = 22;
const BASELINE: u32 = 200;
/// The maximum number of dates below the columns.
const MAX_DATES: usize = 4;
/// The interval between two dates is a multiple of this number of days.
const DATE_INTERVAL: usize = 28;
/// The maximum number of characters in a label, so that it fits next to its number on the screen of a phone.
const MAX_LABEL_CHARS: usize = 38;

/// Draws a horizontal bar for each of the first rows.
pub(super) fn bars(id: &str, title: &str, rows: &[Row]) -> String {
    let shown = &rows[..rows.len().min(MAX_BARS)];
    let max = shown.iter().map(|row| row.starts).max().unwrap_or(0);
    let height = u32::try_from(shown.len()).unwrap_or(0) * ROW_HEIGHT;
    let descriptions: Vec<String> =
        shown.iter().map(|row| format!("{}: {}", row.value, number(row.starts))).collect();
    let mut svg = open_svg(id, title, &format!("{}.", descriptions.join(", ")), height);
    for (row, y) in shown.iter().zip((0..).step_by(ROW_HEIGHT as usize)) {
        let _ = write!(
            svg,
            "<text x=\"0\" y=\"{text_y}\">{}</text><text x=\"100%\" y=\"{text_y}\" class=\"number\">{}</text>\
             <rect x=\"0\" y=\"{}\" width=\"{}%\" height=\"14\" rx=\"2\" class=\"bar\"/>",
            escape(&shorten(&row.value)),
            number(row.starts),
            y + 22,
            percent(row.starts, max).max(0.3),
            text_y = y + 16,
        );
    }
    svg + "</svg>"
}

/// Draws one column per day. A day that is hidden is a short mark on the baseline.
pub(super) fn columns(id: &str, title: &str, days: &[Count]) -> String {
    let max = days.iter().filter_map(|day| day.starts).max().unwrap_or(0);
    let step = 100.0 / f64::from(u32::try_from(days.len()).unwrap_or(u32::MAX).max(1));
    let width = step * 0.8;
    let description = match (days.first(), days.last()) {
        (Some(first), Some(last)) => {
            format!("From {} to {}, with up to {} starts per day.", first.from, last.from, number(max))
        }
        _ => String::new(),
    };
    let mut svg = open_svg(id, title, &description, BASELINE + 30);
    for y in [TOP, (TOP + BASELINE) / 2, BASELINE] {
        let _ = write!(svg, "<line x1=\"0\" x2=\"100%\" y1=\"{y}\" y2=\"{y}\" class=\"grid\"/>");
    }
    for (index, day) in (0_u32..).zip(days) {
        let (height, class, label) = match day.starts {
            Some(starts) => (f64::from(BASELINE - TOP) * percent(starts, max) / 100.0, "bar", number(starts)),
            None => (4.0, "hidden", "hidden".to_owned()),
        };
        let _ = write!(
            svg,
            "<rect x=\"{:.2}%\" y=\"{:.1}\" width=\"{width:.2}%\" height=\"{height:.1}\" class=\"{class}\">\
             <title>{}: {label}</title></rect>",
            f64::from(index) * step,
            f64::from(BASELINE) - height,
            day.from,
        );
    }
    // Drawn after the columns, so that no column covers them.
    for (y, starts) in [(TOP, max), ((TOP + BASELINE) / 2, max / 2)] {
        let _ = write!(svg, "<text x=\"0\" y=\"{}\" class=\"level\">{}</text>", y - 5, number(starts));
    }
    let interval = days.len().div_ceil(MAX_DATES).next_multiple_of(DATE_INTERVAL);
    for (index, day) in (0_u32..).zip(days).step_by(interval) {
        let x = f64::from(index) * step;
        let _ = write!(svg, "<text x=\"{x:.2}%\" y=\"{}\" class=\"date\">{}</text>", BASELINE + 20, day.from);
    }
    svg + "</svg>"
}

/// Opens the `svg` element. Widths are percentages and heights are pixels, so that text has the same size on every screen.
fn open_svg(id: &str, title: &str, description: &str, height: u32) -> String {
    format!(
        "<svg height=\"{height}\" role=\"img\" aria-labelledby=\"{id}-title {id}-desc\">\
         <title id=\"{id}-title\">{}</title><desc id=\"{id}-desc\">{}</desc>",
        escape(title),
        escape(description),
    )
}

/// Returns a share in percent, rounded down to two decimal places.
fn percent(part: u64, whole: u64) -> f64 {
    let hundredths = u128::from(part) * 10_000 / u128::from(whole.max(1));
    f64::from(u32::try_from(hundredths).unwrap_or(10_000)) / 100.0
}

fn shorten(label: &str) -> String {
    if label.chars().count() <= MAX_LABEL_CHARS {
        return label.to_owned();
    }
    let kept: String = label.chars().take(MAX_LABEL_CHARS - 1).collect();
    kept + "…"
}

/// Formats a number with thousands separators.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut formatted = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            formatted.push(',');
        }
        formatted.push(digit);
    }
    formatted
}

/// Escapes a string for HTML.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_thousands_separators() {
        let formatted: Vec<String> = [0, 999, 1000, 1_234_567].into_iter().map(number).collect();
        assert_eq!(formatted, ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn the_largest_bar_has_the_full_width() {
        let shares = [(5, 5), (0, 0), (1, 3), (u64::MAX / 2, u64::MAX)];
        assert_eq!(shares.map(|(part, whole)| percent(part, whole)), [100.0, 0.0, 33.33, 49.99]);
    }
}
