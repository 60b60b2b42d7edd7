//! SVG charts: horizontal bars for the values of a table, columns for days. Pure. Each chart has a title and a description
//! for screen readers, and is followed by a table with the same numbers.

use maud::{Markup, html};

use super::model::{Count, Row};

/// The height of a label and the bar below it, in pixels.
const ROW_HEIGHT: u32 = 44;
/// The maximum number of bars in a chart. The table has all values.
const MAX_BARS: usize = 12;
/// The vertical positions of the top of the tallest column, of half its height and of the baseline, in pixels.
const TOP: u32 = 22;
const MIDDLE: u32 = (TOP + BASELINE) / 2;
const BASELINE: u32 = 200;
/// The maximum number of dates below the columns.
const MAX_DATES: usize = 4;
/// The interval between two dates is a multiple of this number of days.
const DATE_INTERVAL: usize = 28;
/// The maximum number of characters in a label, so that it fits next to its number on the screen of a phone.
const MAX_LABEL_CHARS: usize = 38;

/// Draws a horizontal bar for each of the first rows.
pub(super) fn bars(id: &str, title: &str, rows: &[Row]) -> Markup {
    let shown = &rows[..rows.len().min(MAX_BARS)];
    let max = shown.iter().map(|row| row.starts).max().unwrap_or(0);
    let height = u32::try_from(shown.len()).unwrap_or(0) * ROW_HEIGHT;
    let descriptions: Vec<String> =
        shown.iter().map(|row| format!("{}: {}", row.value, number(row.starts))).collect();
    let description = format!("{}.", descriptions.join(", "));
    let bars = html! {
        @for (row, y) in shown.iter().zip((0..).step_by(ROW_HEIGHT as usize)) {
            text x="0" y=(y + 16) { (shorten(&row.value)) }
            text.number x="100%" y=(y + 16) { (number(row.starts)) }
            rect.bar x="0" y=(y + 22) width={ (percent(row.starts, max).max(0.3)) "%" } height="14" rx="2" {}
        }
    };
    chart(id, title, &description, height, &bars)
}

/// Draws one column per day. A day that is hidden is a short mark on the baseline.
pub(super) fn columns(id: &str, title: &str, days: &[Count]) -> Markup {
    let max = days.iter().filter_map(|day| day.starts).max().unwrap_or(0);
    let step = 100.0 / f64::from(u32::try_from(days.len()).unwrap_or(u32::MAX).max(1));
    let interval = days.len().div_ceil(MAX_DATES).next_multiple_of(DATE_INTERVAL);
    let description = match (days.first(), days.last()) {
        (Some(first), Some(last)) => {
            format!("From {} to {}, with up to {} starts per day.", first.from, last.from, number(max))
        }
        _ => String::new(),
    };
    let left = |index: u32| format!("{:.2}%", f64::from(index) * step);
    let columns = html! {
        @for y in [TOP, MIDDLE, BASELINE] {
            line.grid x1="0" x2="100%" y1=(y) y2=(y) {}
        }
        @for (index, day) in (0..).zip(days) {
            @let (height, class, label) = match day.starts {
                Some(starts) => (f64::from(BASELINE - TOP) * percent(starts, max) / 100.0, "bar", number(starts)),
                None => (4.0, "hidden", "hidden".to_owned()),
            };
            rect class=(class) x=(left(index)) y=(format!("{:.1}", f64::from(BASELINE) - height))
                width=(format!("{:.2}%", step * 0.8)) height=(format!("{height:.1}")) {
                title { (day.from) ": " (label) }
            }
        }
        // Drawn after the columns, so that no column covers them.
        @for (y, starts) in [(TOP, max), (MIDDLE, max / 2)] {
            text.level x="0" y=(y - 5) { (number(starts)) }
        }
        @for (index, day) in (0..).zip(days).step_by(interval) {
            text.date x=(left(index)) y=(BASELINE + 20) { (day.from) }
        }
    };
    chart(id, title, &description, BASELINE + 30, &columns)
}

/// Returns the `svg` element. Widths are percentages and heights are pixels, so that text has the same size on every screen.
fn chart(id: &str, title: &str, description: &str, height: u32, content: &Markup) -> Markup {
    html! {
        svg height=(height) role="img" aria-labelledby={ (id) "-title " (id) "-desc" } {
            title id={ (id) "-title" } { (title) }
            desc id={ (id) "-desc" } { (description) }
            (content)
        }
    }
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
