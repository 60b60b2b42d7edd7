//! Durations in Go's notation, as written in `tbot.yaml`. Depends only on serde and schemars.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};

/// The strings that [`GoDuration`] accepts, as an ECMA 262 regular expression: empty (zero), or Go's notation.
const PATTERN: &str = r"^$|^[-+]?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$";

/// A duration in Go's notation: `90s`, `1h30m`, `1.5h`, `-5m`. An empty string means zero, and zero means the default.
///
/// Stored as 64-bit nanoseconds, as in Go. Values out of range (292 years) are clamped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct GoDuration {
    nanoseconds: i64,
}

/// The string is not a duration in Go's notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a duration such as `90s`, `20m` or `1h30m`")]
pub struct InvalidDuration;

impl GoDuration {
    /// Creates a duration of whole seconds.
    pub const fn from_secs(seconds: i64) -> Self {
        Self { nanoseconds: seconds.saturating_mul(1_000_000_000) }
    }

    /// Returns whether the duration is zero, which always means "use the default".
    pub const fn is_zero(self) -> bool {
        self.nanoseconds == 0
    }

    /// Returns whether the duration is less than zero.
    pub const fn is_negative(self) -> bool {
        self.nanoseconds < 0
    }

    /// Returns the length, without the sign.
    pub const fn unsigned_abs(self) -> Duration {
        Duration::from_nanos(self.nanoseconds.unsigned_abs())
    }

    /// Converts to a [`Duration`]. A negative duration becomes zero.
    pub const fn to_std(self) -> Duration {
        if self.nanoseconds < 0 {
            Duration::ZERO
        } else {
            Duration::from_nanos(self.nanoseconds.unsigned_abs())
        }
    }
}

impl FromStr for GoDuration {
    type Err = InvalidDuration;

    fn from_str(value: &str) -> Result<Self, InvalidDuration> {
        let (sign, mut rest) = match value.as_bytes().first() {
            None => return Ok(Self::default()),
            Some(b'-') => (-1, &value[1..]),
            Some(b'+') => (1, &value[1..]),
            Some(_) => (1, value),
        };
        if rest == "0" {
            return Ok(Self::default());
        }
        if rest.is_empty() {
            return Err(InvalidDuration);
        }
        let mut total: i128 = 0;
        while !rest.is_empty() {
            let (amount, after) = parse_term(rest)?;
            total = total.saturating_add(amount);
            rest = after;
        }
        let bounded = (sign * total).clamp(i128::from(i64::MIN), i128::from(i64::MAX));
        Ok(Self { nanoseconds: i64::try_from(bounded).unwrap_or(i64::MAX) })
    }
}

/// Parses one number with its unit. Returns nanoseconds and the rest of the string.
fn parse_term(value: &str) -> Result<(i128, &str), InvalidDuration> {
    const UNITS: [(&str, i128); 8] = [
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("μs", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];

    let (whole, rest) = split_digits(value);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => split_digits(rest),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(InvalidDuration);
    }
    let (unit, rest) = UNITS
        .iter()
        .find_map(|(unit, scale)| rest.strip_prefix(unit).map(|rest| (scale, rest)))
        .ok_or(InvalidDuration)?;

    let mut amount: i128 = 0;
    for digit in whole.bytes() {
        amount = amount.saturating_mul(10).saturating_add(i128::from(digit - b'0')).min(i128::from(u64::MAX));
    }
    amount = amount.saturating_mul(*unit);
    // An hour is 3.6e12 nanoseconds, so decimal places after the 13th are below a nanosecond in every unit.
    let mut divisor = 1;
    for digit in fraction.bytes().take(13) {
        divisor *= 10;
        amount = amount.saturating_add(i128::from(digit - b'0') * unit / divisor);
    }
    Ok((amount, rest))
}

/// Splits a string after its leading digits.
fn split_digits(value: &str) -> (&str, &str) {
    value.split_at(value.bytes().take_while(u8::is_ascii_digit).count())
}

impl fmt::Display for GoDuration {
    /// Formats the duration in Go's canonical form: `1h0m0s`, `20m0s`, `1.5s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0s");
        }
        if self.is_negative() {
            f.write_str("-")?;
        }
        let nanoseconds = self.nanoseconds.unsigned_abs();
        if nanoseconds < 1_000_000_000 {
            let (scale, unit) = match nanoseconds {
                0..1_000 => (1, "ns"),
                1_000..1_000_000 => (1_000, "µs"),
                _ => (1_000_000, "ms"),
            };
            return write!(f, "{}{unit}", decimal(nanoseconds, scale));
        }
        let minutes = nanoseconds / 60_000_000_000;
        let seconds = decimal(nanoseconds % 60_000_000_000, 1_000_000_000);
        match (minutes / 60, minutes % 60) {
            (0, 0) => write!(f, "{seconds}s"),
            (0, minutes) => write!(f, "{minutes}m{seconds}s"),
            (hours, minutes) => write!(f, "{hours}h{minutes}m{seconds}s"),
        }
    }
}

/// Formats `value / scale` in decimal, without trailing zeros.
fn decimal(value: u64, scale: u64) -> String {
    let (whole, fraction) = (value / scale, value % scale);
    if fraction == 0 {
        return whole.to_string();
    }
    let width = scale.ilog10() as usize;
    format!("{whole}.{fraction:0width$}").trim_end_matches('0').to_owned()
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for GoDuration {
    fn schema_name() -> Cow<'static, str> {
        "GoDuration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A duration in Go's notation, such as `90s`, `20m` or `1h30m`. \
                            An empty or zero duration means the default.",
            "pattern": PATTERN,
            "patternErrorMessage": "write a number and a unit without a space, such as `90s`, `20m` or `1h30m`",
            "x-sensitivity": "tuning",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nanoseconds(value: &str) -> Option<i64> {
        value.parse::<GoDuration>().ok().map(|duration| duration.nanoseconds)
    }

    #[test]
    fn durations_parse_as_in_go() {
        assert_eq!(nanoseconds("1h30m"), Some(5_400_000_000_000));
        assert_eq!(nanoseconds("1.5h"), Some(5_400_000_000_000));
        assert_eq!(nanoseconds("-5m"), Some(-300_000_000_000));
        assert_eq!(nanoseconds(".5s"), Some(500_000_000));
        assert_eq!(nanoseconds("5.s"), Some(5_000_000_000));
        assert_eq!(nanoseconds("1µs2μs3us"), Some(6_000));
        assert_eq!(nanoseconds(""), Some(0));
        assert_eq!(nanoseconds("+0"), Some(0));
        assert_eq!(nanoseconds("99999999999999999999h"), Some(i64::MAX));
        for invalid in ["60", "1d", "1H", "1h 30m", "h", ".s", "-", "1h30", "s1", " 1s"] {
            assert_eq!(nanoseconds(invalid), None, "{invalid}");
        }
    }

    #[test]
    fn durations_print_as_in_go() {
        for (value, printed) in [
            ("60m", "1h0m0s"),
            ("90s", "1m30s"),
            ("1500ms", "1.5s"),
            ("1500us", "1.5ms"),
            ("-2h", "-2h0m0s"),
            ("0s", "0s"),
        ] {
            assert_eq!(
                value.parse::<GoDuration>().map(|duration| duration.to_string()).as_deref(),
                Ok(printed)
            );
        }
    }
}
