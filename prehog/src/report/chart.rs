//! Charts as SVG: bars across for the values of a table, columns for days. Pure. Each has a title and a description for
//! those who do not see it; the table under it says the same in numbers.

use std::fmt::Write as _;

use super::{Count, Row};
use crate::day::Day;

const WIDTH: u32 = 800;
const LABEL: u32 = 320;
const NUMBER: u32 = 90;
const BAR: u32 = 26;
/// Bars of one chart; the table below has all.
const MOST_BARS: usize = 12;
const HEIGHT: u32 = 200;
/// Characters of a label that have room.
const LABEL_CHARS: usize = 45;

/// Bars across, the largest first.
pub(super) fn bars(id: &str, title: &str, rows: &[Row]) -> String {
    let shown = &rows[..rows.len().min(MOST_BARS)];
    let most = shown.iter().map(|row| row.starts).max().unwrap_or(0);
    let height = u32::try_from(shown.len()).unwrap_or(0) * BAR + 6;
    let says: Vec<String> =
        shown.iter().map(|row| format!("{}: {}{}", row.value, prefix(row), number(row.starts))).collect();
    let mut svg = head(id, title, &format!("{}.", says.join(", ")), height);
    for (row, y) in shown.iter().zip((0..).step_by(BAR as usize)) {
        let wide = scale(row.starts, most, WIDTH - LABEL - NUMBER).max(2);
        let (bar_y, text_y) = (y + 5, y + 20);
        let _ = write!(
            svg,
            "<text x=\"{}\" y=\"{text_y}\" class=\"label\">{}</text>\
             <rect x=\"{LABEL}\" y=\"{bar_y}\" width=\"{wide}\" height=\"18\" rx=\"2\" class=\"bar\"/>\
             <text x=\"{}\" y=\"{text_y}\" class=\"number\">{}{}</text>",
            LABEL - 10,
            escape(&shorten(&row.value)),
            LABEL + wide + 8,
            prefix(row),
            number(row.starts),
        );
    }
    svg + "</svg>"
}

/// One column for each day; a day that is hidden is a mark at the foot.
pub(super) fn columns(id: &str, title: &str, days: &[Count<Day>]) -> String {
    let most = days.iter().filter_map(|day| day.starts).max().unwrap_or(0);
    let count = u32::try_from(days.len()).unwrap_or(1).max(1);
    let left = 64;
    let step = f64::from(WIDTH - left) / f64::from(count);
    let says = match (days.first(), days.last()) {
        (Some(first), Some(last)) => {
            format!("From {} to {}, at most {} on a day.", first.from, last.from, number(most))
        }
        _ => String::new(),
    };
    let mut svg = head(id, title, &says, HEIGHT + 34);
    for (share, starts) in [(0, most), (1, most / 2), (2, 0)] {
        let y = 10 + share * (HEIGHT - 10) / 2;
        let _ = write!(
            svg,
            "<line x1=\"{left}\" x2=\"{WIDTH}\" y1=\"{y}\" y2=\"{y}\" class=\"grid\"/>\
             <text x=\"{}\" y=\"{}\" class=\"label\">{}</text>",
            left - 8,
            y + 4,
            number(starts),
        );
    }
    for (index, day) in (0_u32..).zip(days) {
        let x = f64::from(left) + f64::from(index) * step;
        let wide = (step * 0.8).max(0.5);
        match day.starts {
            Some(starts) => {
                let high = scale(starts, most, HEIGHT - 10);
                let y = HEIGHT - high;
                let _ = write!(
                    svg,
                    "<rect x=\"{x:.1}\" y=\"{y}\" width=\"{wide:.1}\" height=\"{high}\" class=\"bar\">\
                     <title>{}: {}</title></rect>",
                    day.from,
                    number(starts),
                );
            }
            None => {
                let _ = write!(
                    svg,
                    "<rect x=\"{x:.1}\" y=\"{}\" width=\"{wide:.1}\" height=\"4\" class=\"hidden\">\
                     <title>{}: hidden</title></rect>",
                    HEIGHT - 4,
                    day.from,
                );
            }
        }
        if index % 28 == 0 {
            let _ =
                write!(svg, "<text x=\"{x:.1}\" y=\"{}\" class=\"date\">{}</text>", HEIGHT + 20, day.from);
        }
    }
    svg + "</svg>"
}

fn head(id: &str, title: &str, says: &str, height: u32) -> String {
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"{id}-title {id}-desc\">\
         <title id=\"{id}-title\">{}</title><desc id=\"{id}-desc\">{}</desc>",
        escape(title),
        escape(says),
    )
}

fn prefix(row: &Row) -> &'static str {
    if row.at_least { "≥ " } else { "" }
}

/// A share of a length, to the whole pixel.
fn scale(part: u64, whole: u64, length: u32) -> u32 {
    let share = u128::from(part) * u128::from(length) / u128::from(whole.max(1));
    u32::try_from(share).unwrap_or(length)
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
        assert_eq!(scale(5, 5, 380), 380);
        assert_eq!(scale(0, 0, 380), 0);
        assert_eq!(scale(u64::MAX / 2, u64::MAX, 380), 189);
    }
}
