//! Determines the type of a plain (unquoted) scalar, by the same rules as serde_yaml. Depends on serde_yaml only.

/// The key whose value is merged into its map.
pub(crate) const MERGE_KEY: &str = "<<";

/// The type of a plain scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScalarType {
    Null,
    Bool,
    Number,
    NotFinite,
    String,
}

/// Returns the type that a plain scalar has as a value.
pub(crate) fn plain_scalar_type(text: &str) -> ScalarType {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => ScalarType::Null,
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => ScalarType::Bool,
        _ => match text.parse::<serde_yaml::Number>() {
            Ok(number) if number.is_finite() => ScalarType::Number,
            Ok(_) => ScalarType::NotFinite,
            Err(_) => ScalarType::String,
        },
    }
}
