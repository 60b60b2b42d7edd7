//! The generated JSON Schemas, embedded in the program. Depends only on serde_json.

use std::sync::LazyLock;

use serde_json::Value;

/// The embedded JSON Schema (2020-12) of version 2 of the configuration format.
pub const CONFIG: &str = include_str!("../../../schema/tbot.schema.json");

/// The embedded JSON Schema (2020-12) of version 1 of the configuration format.
pub const CONFIG_V1: &str = include_str!("../../../schema/tbot-v1.schema.json");

/// A version of the configuration format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormatVersion {
    /// Version 1, which has `destinations`.
    V1,
    /// Version 2, which has `services` and `outputs`.
    V2,
}

impl FormatVersion {
    /// Returns the JSON Schema of this version. It is parsed only once.
    pub fn schema(self) -> &'static Value {
        static V1: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(CONFIG_V1).unwrap_or_default());
        static V2: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(CONFIG).unwrap_or_default());
        match self {
            Self::V1 => &V1,
            Self::V2 => &V2,
        }
    }
}
