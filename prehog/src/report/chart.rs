//! Charts: columns for days and weeks as SVG, bars with small columns per week for values, and cells with bars for two values.
//! Pure. Text is HTML where possible, so that it wraps and has the same size on every screen.

use std::fmt::{self, Display, Formatter};

use maud::{Markup, html};

use super::model::Count;
use super::section::{Row, Table};

/// The maximum number of values in a chart. The table has all of them.
const MAX_BARS: usize = 10;
/// The vertical positions of the top of the chart, of half its height and of the baseline, in pixels.
const TOP: u32 = 10;
const MIDDLE: u32 = (TOP + BASELINE) / 2;
const BASELINE: u32 = 200;
/// The maximum number of dates below the columns.
const MAX_DATES: usize = 3;
/// The height of the small columns, and that of the mark of a hidden week.
const TREND_HEIGHT: f64 = 24.0;
const HIDDEN_HEIGHT: f64 = 2.0;
/// A change is shown in percent only if rounding may have hidden at most this part of the number before.
const MIN_PRECISION: u64 = 10;
/// The width of a column, relative to the distance between two columns.
const COLUMN_WIDTH: f64 = 0.8;

/// Draws a bar with the share of each of the first rows, and a column for each of their weeks.
pub(super) fn bars(title: &str, table: &Table, total: Option<u64>, compares: bool) -> Markup {
    let rows = &table.rows;
    let shown = &rows[..rows.len().min(MAX_BARS)];
    let max = shown.iter().filter_map(|row| row.starts).max().unwrap_or(0);
    html! {
        div.head aria-hidden="true" {
            span.numbers {
                @if compares { span.change { "Change" } }
                span.share { "Share" }
                span.starts { "Starts" }
            }
        }
        ul.bars aria-label={ (title) ": " @if compares { "change, " } "share, starts" } {
            @for row in shown {
                li {
                    span.label { (row.value) }
                    span.numbers {
                        @if compares { span.change { (change_of(row, table.max_hidden)) } }
                        span.share { (share_of(row.starts, total)) }
                        strong.starts { (cell(row.starts)) }
                    }
                    span.plot aria-hidden="true" {
                        span.track {
                            @if let Some(starts) = row.starts {
                                span.bar style={ "width:" (percent(starts, max).max(0.3)) "%" } {}
                            }
                        }
                        (trend(&row.weeks))
                    }
                }
            }
        }
        @if rows.len() > shown.len() {
            p.more { "The table has " (number_of(rows.len() - shown.len())) " more." }
        }
    }
}

/// Draws a column for each week, relative to the largest one. A week that is hidden is a mark on the baseline.
fn trend(weeks: &[Option<u64>]) -> Markup {
    let max = weeks.iter().flatten().max().copied().unwrap_or(0);
    html! {
        svg.trend viewBox={ "0 0 " (weeks.len()) " " (TREND_HEIGHT) } preserveAspectRatio="none" {
            @for (x, starts) in weeks.iter().enumerate() {
                @let (height, class) = match starts {
                    Some(starts) => ((TREND_HEIGHT * percent(*starts, max) / 100.0).max(1.0), "column"),
                    None => (HIDDEN_HEIGHT, "hidden"),
                };
                rect class=(class) x=(x) y=(decimal(TREND_HEIGHT - height)) width=(COLUMN_WIDTH) height=(decimal(height)) {}
            }
        }
    }
}

/// Draws one column per day or week. One that is hidden is a short mark on the baseline. The distance
/// between two dates is a multiple of `interval` columns.
pub(super) fn columns(id: &str, title: &str, per: &str, counts: &[Count], interval: usize) -> Markup {
    let max = counts.iter().filter_map(|count| count.starts).max().unwrap_or(0);
    let top = round_up(max);
    let step = 100.0 / f64::from(u32::try_from(counts.len()).unwrap_or(u32::MAX).max(1));
    let interval = counts.len().div_ceil(MAX_DATES).next_multiple_of(interval);
    let description = match (counts.first(), counts.last()) {
        (Some(first), Some(last)) => {
            format!("From {} to {}, with up to {} starts per {per}.", first.from, last.from, number(max))
        }
        _ => String::new(),
    };
    let left = |index: u32| format!("{:.3}%", f64::from(index) * step);
    html! {
        div.chart {
        div.levels aria-hidden="true" {
            @for (y, starts) in [(TOP, top), (MIDDLE, top / 2), (BASELINE, 0)] {
                span style={ "top:" (y) "px" } { (number(starts)) }
            }
            // Gives the column the width of the longest level.
            span.widest { (number(top)) }
        }
        // Widths are percentages and heights are pixels, so that text has the same size on every screen.
        svg height=(BASELINE + 30) role="img" aria-labelledby={ (id) "-title " (id) "-desc" } {
            title id={ (id) "-title" } { (title) }
            desc id={ (id) "-desc" } { (description) }
            @for y in [TOP, MIDDLE, BASELINE] {
                line.grid x1="0" x2="100%" y1=(y) y2=(y) {}
            }
            @for (index, count) in (0..).zip(counts) {
                @let (height, class, label) = match count.starts {
                    Some(starts) => (f64::from(BASELINE - TOP) * percent(starts, top) / 100.0, "column", number(starts)),
                    None => (4.0, "hidden", "hidden".to_owned()),
                };
                rect class=(class) x=(left(index)) y=(decimal(f64::from(BASELINE) - height))
                    width=(format!("{:.3}%", step * COLUMN_WIDTH)) height=(decimal(height)) {
                    title { (count.from) ": " (label) }
                }
            }
            @for (index, count) in (0..).zip(counts).step_by(interval) {
                text.date x=(left(index)) y=(BASELINE + 20) { (count.from) }
            }
        }
        }
    }
}

/// Rounds up to an even number with one digit other than zero, so that the levels of a chart are easy to read.
fn round_up(number: u64) -> u64 {
    let powers = (0..).map_while(|exponent| 10_u64.checked_pow(exponent));
    let unit = powers.take_while(|power| *power <= number).last().unwrap_or(1);
    let mut levels = [1, 2, 3, 4, 5, 6, 8, 10].into_iter().map(|digit| unit.saturating_mul(digit));
    levels.find(|level| *level >= number && level % 2 == 0).unwrap_or(number)
}

/// Returns a share in percent, rounded down to two decimal places.
pub(super) fn percent(part: u64, whole: u64) -> f64 {
    let hundredths = u128::from(part) * 10_000 / u128::from(whole.max(1));
    f64::from(u32::try_from(hundredths).unwrap_or(10_000)) / 100.0
}

fn decimal(number: f64) -> String {
    format!("{number:.1}")
}

/// Formats a share in percent with one decimal place.
pub(super) fn share(part: u64, total: u64) -> String {
    if total == 0 {
        return "–".to_owned();
    }
    let tenths = (u128::from(part) * 1000 + u128::from(total) / 2) / u128::from(total);
    format!("{}.{}%", tenths / 10, tenths % 10)
}

/// Like [`share`], for numbers that may be hidden.
pub(super) fn share_of(part: Option<u64>, total: Option<u64>) -> String {
    part.zip(total).map_or_else(|| "–".to_owned(), |(part, total)| share(part, total))
}

/// Formats a number that may be hidden.
pub(super) fn cell(starts: Option<u64>) -> String {
    starts.map_or_else(|| "hidden".to_owned(), number)
}

/// The change from an earlier number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// There was nothing before.
    New,
    /// The numbers may be the same: the difference is not larger than what rounding may have hidden.
    Similar,
    /// The smallest change that rounding leaves possible, because the true one can be much larger.
    AtLeast(String),
    /// In percent, or as a factor from 10 on.
    Relative(String),
}

impl Change {
    /// Returns the change between two numbers, each of which can be too small by `max_hidden`.
    pub(super) fn between(before: u64, now: u64, max_hidden: u64) -> Self {
        if before == 0 {
            return Self::New;
        }
        if max_hidden > 0 && now.abs_diff(before) <= max_hidden {
            return Self::Similar;
        }
        // A number that is rounded down to 0 is not known to be 0.
        if max_hidden > before / MIN_PRECISION || (max_hidden > 0 && now == 0) {
            let is_increase = now > before;
            let (before, now) =
                if is_increase { (before + max_hidden, now) } else { (before, now + max_hidden) };
            // Below one percent, the numbers count as similar.
            return if percent_of(before, now) == 0 {
                Self::Similar
            } else {
                Self::AtLeast(relative(before, now))
            };
        }
        Self::Relative(relative(before, now))
    }

    /// Returns the change in words, for a sentence.
    pub(super) fn in_words(&self, period: &str) -> String {
        match self {
            Self::New => format!("none in the {period}"),
            Self::Similar => format!("about as many as in the {period}"),
            Self::AtLeast(change) => format!("at least {change} from the {period}"),
            Self::Relative(change) => format!("{change} from the {period}"),
        }
    }
}

impl Display for Change {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::New => formatter.write_str("new"),
            Self::Similar => formatter.write_str("≈"),
            Self::AtLeast(change) => write!(formatter, "min. {change}"),
            Self::Relative(change) => formatter.write_str(change),
        }
    }
}

/// Formats the change of a row from the period before.
pub(super) fn change_of(row: &Row, max_hidden: u64) -> String {
    let now = row.starts.unwrap_or(0);
    row.before.map_or_else(|| "–".to_owned(), |before| Change::between(before, now, max_hidden).to_string())
}

/// Formats a change in percent, or as a factor from 10 on, rounded down.
fn relative(before: u64, now: u64) -> String {
    // Beyond that, a percentage is hard to read.
    if now / 10 >= before {
        return format!("×{}", number(now / before));
    }
    let percent = percent_of(before, now);
    let sign = match percent {
        0 => "±",
        _ if now < before => "−",
        _ => "+",
    };
    format!("{sign}{percent}%")
}

/// Returns the size of a change in percent, rounded down.
fn percent_of(before: u64, now: u64) -> u128 {
    u128::from(now.abs_diff(before)) * 100 / u128::from(before)
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

/// Formats the length of a list.
pub(super) fn number_of(len: usize) -> String {
    number(len.try_into().unwrap_or(u64::MAX))
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

    #[test]
    fn the_levels_of_a_chart_are_round() {
        let levels = [0, 1, 10, 11, 270, 570, 890, 1000, 12_345, 999_999].map(round_up);
        assert_eq!(levels, [2, 2, 10, 20, 300, 600, 1000, 1000, 20_000, 1_000_000]);
        assert_eq!(round_up(u64::MAX), u64::MAX);
    }

    #[test]
    fn a_change_is_relative_to_the_number_before() {
        let changes =
            [(100, 110), (100, 90), (999, 1000), (0, 5), (5, 0), (100, 999), (100, 1099), (1, u64::MAX)];
        let formatted = changes.map(|(before, now)| Change::between(before, now, 0).to_string());
        assert_eq!(formatted[..7], ["+10%", "−10%", "±0%", "new", "−100%", "+899%", "×10"]);
    }

    /// Each number can be too small by 108: 12 weeks that are rounded down to multiples of 10.
    #[test]
    fn a_change_that_rounding_explains_is_not_shown() {
        use Change::{AtLeast, Relative, Similar};
        let between = |before, now| Change::between(before, now, 108);
        assert_eq!([between(120, 228), between(228, 120), between(500, 500)], [Similar, Similar, Similar]);
        assert_eq!(between(1000, 1110), Similar, "at least 1108 to 1110");
        let at_least = |change: &str| AtLeast(change.to_owned());
        assert_eq!([between(10, 120), between(240, 120)], [at_least("+1%"), at_least("−5%")]);
        assert_eq!([between(10, 2000), between(1079, 2000)], [at_least("×16"), at_least("+68%")]);
        assert_eq!(between(1080, 1200), Relative("+11%".to_owned()));
        assert_eq!(between(1100, 0), at_least("−90%"), "0 to 108");
    }
}
