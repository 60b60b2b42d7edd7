//! Values of the rows of a result. Depends on `day` and the errors of a store.

use serde_json::{Map, Value};

use crate::day::Day;
use crate::store::backend::StoreError;

/// A row: the values by name.
pub(super) type ResultRow = Map<String, Value>;

/// Reads a number. ClickHouse writes 64-bit numbers as strings.
pub(super) fn number(row: &ResultRow, name: &str) -> Result<u64, StoreError> {
    let value = row.get(name).ok_or_else(|| malformed(name))?;
    let number = value.as_u64().or_else(|| value.as_str().and_then(|digits| digits.parse().ok()));
    number.ok_or_else(|| malformed(name))
}

pub(super) fn text<'a>(row: &'a ResultRow, name: &str) -> Result<&'a str, StoreError> {
    row.get(name).and_then(Value::as_str).ok_or_else(|| malformed(name))
}

pub(super) fn day(row: &ResultRow, name: &str) -> Result<Day, StoreError> {
    text(row, name)?.parse().map_err(|_| malformed(name))
}

pub(super) fn malformed(name: &str) -> StoreError {
    StoreError::UnexpectedData(format!("malformed value of `{name}`"))
}
