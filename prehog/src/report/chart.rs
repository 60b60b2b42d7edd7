//! Charts as SVG: bars across for the values of a table, columns for days. Pure. Each has a title and a description for
//! those who do not see it; the table under it says the same in numbers.

use std::fmt::Write as _;

use super::{Count, Row};
use crate::day::Day;

/// Pixels from one bar to the next: a line of text, and the bar under it.
const ROW: u32 = 44;
/// Bars of one chart; the table below has all.
const MOST_BARS: usize = 12;
/// Where the tallest column begins, and where all of them end.
const TOP: u32 = 22;
const FOOT: u32 = 200;
/// Dates under the columns, at most, and the days between them: whole weeks.
const MOST_DATES: usize = 4;
const WEEKS_4: usize = 28;
/// Characters of a label that have room beside a number, where the page is as narrow as a telephone.
const LABEL_CHARS: usize = 38;

/// Bars across, the largest first.
pub(super) fn bars(id: &str, title: &str, rows: &[Row]) -> String {
    let shown = &rows[..rows.len().min(MOST_BARS)];
    let most = shown.iter().map(|row| row.starts).max().unwrap_or(0);
    let height = u32::try_from(shown.len()).unwrap_or(0) * ROW;
    let says: Vec<String> =
        shown.iter().map(|row| format!("{}: {}{}", row.value, prefix(row), number(row.starts))).collect();
    let mut svg = head(id, title, &format!("{}.", says.join(", ")), height);
    for (row, y) in shown.iter().zip((0..).step_by(ROW as usize)) {
        let _ = write!(
            svg,
            "<text x=\"0\" y=\"{text_y}\">{}</text><text x=\"100%\" y=\"{text_y}\" class=\"number\">{}{}</text>\
             <rect x=\"0\" y=\"{}\" width=\"{}%\" height=\"14\" rx=\"2\" class=\"bar\"/>",
            escape(&shorten(&row.value)),
            prefix(row),
            number(row.starts),
            y + 22,
            percent(row.starts, most).max(0.3),
            text_y = y + 16,
        );
    }
    svg + "</svg>"
}

/// One column for each day; a day that is hidden is a mark at the foot.
pub(super) fn columns(id: &str, title: &str, days: &[Count<Day>]) -> String {
    let most = days.iter().filter_map(|day| day.starts).max().unwrap_or(0);
    let step = 100.0 / f64::from(u32::try_from(days.len()).unwrap_or(u32::MAX).max(1));
    let wide = step * 0.8;
    let says = match (days.first(), days.last()) {
        (Some(first), Some(last)) => {
            format!("From {} to {}, at most {} on a day.", first.from, last.from, number(most))
        }
        _ => String::new(),
    };
    let mut svg = head(id, title, &says, FOOT + 30);
    for y in [TOP, (TOP + FOOT) / 2, FOOT] {
        let _ = write!(svg, "<line x1=\"0\" x2=\"100%\" y1=\"{y}\" y2=\"{y}\" class=\"grid\"/>");
    }
    for (index, day) in (0_u32..).zip(days) {
        let (high, class, says) = match day.starts {
            Some(starts) => (f64::from(FOOT - TOP) * percent(starts, most) / 100.0, "bar", number(starts)),
            None => (4.0, "hidden", "hidden".to_owned()),
        };
        let _ = write!(
            svg,
            "<rect x=\"{:.2}%\" y=\"{:.1}\" width=\"{wide:.2}%\" height=\"{high:.1}\" class=\"{class}\">\
             <title>{}: {says}</title></rect>",
            f64::from(index) * step,
            f64::from(FOOT) - high,
            day.from,
        );
    }
    // Over the columns, so that they hide none.
    for (y, starts) in [(TOP, most), ((TOP + FOOT) / 2, most / 2)] {
        let _ = write!(svg, "<text x=\"0\" y=\"{}\" class=\"level\">{}</text>", y - 5, number(starts));
    }
    let apart = days.len().div_ceil(MOST_DATES).next_multiple_of(WEEKS_4);
    for (index, day) in (0_u32..).zip(days).step_by(apart) {
        let x = f64::from(index) * step;
        let _ = write!(svg, "<text x=\"{x:.2}%\" y=\"{}\" class=\"date\">{}</text>", FOOT + 20, day.from);
    }
    svg + "</svg>"
}

/// Widths are shares of the page's, and heights are pixels: text has its size in every window.
fn head(id: &str, title: &str, says: &str, height: u32) -> String {
    format!(
        "<svg height=\"{height}\" role=\"img\" aria-labelledby=\"{id}-title {id}-desc\">\
         <title id=\"{id}-title\">{}</title><desc id=\"{id}-desc\">{}</desc>",
        escape(title),
        escape(says),
    )
}

fn prefix(row: &Row) -> &'static str {
    if row.at_least { "≥ " } else { "" }
}

/// A share of a whole in percent, to a hundredth.
fn percent(part: u64, whole: u64) -> f64 {
    let hundredths = u128::from(part) * 10_000 / u128::from(whole.max(1));
    f64::from(u32::try_from(hundredths).unwrap_or(10_000)) / 100.0
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= LABEL_CHARS {
        return text.to_owned();
    }
    let kept: String = text.chars().take(LABEL_CHARS - 1).collect();
    kept + "…"
}

/// A number with its thousands apart.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Text that stands in HTML.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_thousands_apart() {
        let texts: Vec<String> = [0, 999, 1000, 1_234_567].into_iter().map(number).collect();
        assert_eq!(texts, ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn the_largest_bar_fills_its_room() {
        let shares = [(5, 5), (0, 0), (1, 3), (u64::MAX / 2, u64::MAX)];
        assert_eq!(shares.map(|(part, whole)| percent(part, whole)), [100.0, 0.0, 33.33, 49.99]);
    }
}
