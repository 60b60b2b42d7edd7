//! Determines the type of a plain (unquoted) scalar by the YAML 1.2 core schema, as Go's YAML library reads it into a typed
//! field. Pure; depends on `tree` for the result.

use std::borrow::Cow;

use serde_json::Number;

use super::tree::NodeKind;

/// Returns the value of a plain scalar, or `None` if it is a number that is not finite.
pub(crate) fn plain_scalar(text: Cow<'_, str>) -> Option<NodeKind<'_>> {
    Some(match text.as_ref() {
        "" | "~" | "null" | "Null" | "NULL" => NodeKind::Null,
        "true" | "True" | "TRUE" => NodeKind::Bool(true),
        "false" | "False" | "FALSE" => NodeKind::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf" | "-.INF" | ".nan"
        | ".NaN" | ".NAN" => return None,
        number => match parse_number(number) {
            Some(number) => NodeKind::Number(number),
            None => NodeKind::String(text),
        },
    })
}

/// Parses a number. An integer of more than 64 bits loses precision, as in any JSON parser; a configuration has none.
fn parse_number(text: &str) -> Option<Number> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    let (radix, digits) = match unsigned.split_at_checked(2) {
        Some(("0x", digits)) => (16, digits),
        Some(("0o", digits)) => (8, digits),
        Some(("0b", digits)) => (2, digits),
        _ => (10, unsigned),
    };
    if digits.chars().all(|digit| digit.is_digit(radix)) {
        if radix == 10 && digits.len() > 1 && digits.starts_with('0') {
            // Leading zeros make a string, such as an account number.
            return None;
        }
        if let Ok(integer) = i128::from_str_radix(digits, radix) {
            let integer = if text.starts_with('-') { -integer } else { integer };
            let number = u64::try_from(integer).map(Number::from);
            let number = number.or_else(|_| i64::try_from(integer).map(Number::from));
            return number.ok().or_else(|| Number::from_f64(integer as f64));
        }
    }
    text.parse().ok().and_then(Number::from_f64)
}
