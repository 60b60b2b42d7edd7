//! Macros for closed sets: string enums, and maps told apart by `type`. Depends on serde and schemars only.
//!
//! serde's derived enums accept more than a string (a one-key map is a unit variant, too) and drop the values that
//! would have been right; these accept exactly what their JSON Schema says, and list their values.

/// An enum whose values are strings.
macro_rules! string_enum {
    (
        $(#[doc = $doc:literal])*
        $(#[sensitivity = $class:ident])?
        pub enum $name:ident {
            $($(#[doc = $variant_doc:literal])* $variant:ident = $value:literal,)+
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[doc = $variant_doc])* $variant,)+
        }

        impl $name {
            /// Every value, in the order of the schema.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The value as it is written.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $value,)+
                }
            }

            /// The value that is written so.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($value => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let name = String::deserialize(deserializer)?;
                Self::from_name(&name)
                    .ok_or_else(|| serde::de::Error::unknown_variant(&name, &[$($value,)+]))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "description": concat!($($doc, "\n",)*).trim(),
                    "enum": [$($value,)+],
                    "enumDescriptions": [$(concat!($($variant_doc, "\n",)*).trim(),)+],
                    $("x-sensitivity": crate::config::Sensitivity::$class.name(),)?
                })
            }
        }
    };
}

/// An enum of maps told apart by their `type`. Each row: the type, its variant, the struct of what else the map holds,
/// and what else the type's schema says (`x-access` for services).
macro_rules! tagged_union {
    (
        $(#[$doc:meta])*
        pub enum $name:ident {
            $($value:literal => $variant:ident($body:ty) $({ $($key:literal: $extra:expr),* })?,)+
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $name {
            $(
                #[doc = concat!("`type: ", $value, "`")]
                $variant($body),
            )+
        }

        impl $name {
            /// Every value of `type`, in the order of the schema.
            pub const TYPES: &'static [&'static str] = &[$($value,)+];

            /// The `type`.
            pub const fn type_name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $value,)+
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                use serde::de::Error as _;
                let map = crate::config::strict::map(deserializer)?;
                match map.get("type").and_then(serde_json::Value::as_str) {
                    $(Some($value) => crate::config::strict::from_tagged(map, "type")
                        .map(Self::$variant)
                        .map_err(D::Error::custom),)+
                    Some(other) => Err(D::Error::unknown_variant(other, Self::TYPES)),
                    None => Err(D::Error::missing_field("type")),
                }
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let branches = vec![$(
                    crate::config::schema::branch::<$body>(
                        generator,
                        $value,
                        &[$($(($key, $extra),)*)?],
                    ),
                )+];
                schemars::json_schema!({ "oneOf": branches, "x-sensitivity": "category" })
            }
        }
    };
}

pub(crate) use string_enum;
pub(super) use tagged_union;
