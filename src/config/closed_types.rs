//! Macros that declare closed sets of values: enums of strings, and unions of maps selected by `type`.
//!
//! serde's derived enums accept more than a string (a unit variant may also be a one-key map), and they offer no list
//! of their values. These macros accept exactly the values that the generated JSON Schema accepts, and list them in
//! `ALL` or `TYPES`. An optional property also accepts an empty string, if it is read with [`unless_empty`].

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, IntoDeserializer as _};
use serde_json::{Map, Value, json};

/// Declares an enum whose values are strings.
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
        #[non_exhaustive]
        pub enum $name {
            $($(#[doc = $variant_doc])* $variant,)+
        }

        impl $name {
            /// All values, in the order of the schema.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Returns the value as it is written in the configuration.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $value,)+
                }
            }

            /// Returns the value that is written as `name`.
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

/// Reads an optional value of a closed set of strings, of which an empty one means the same as none.
pub(super) fn unless_empty<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let name = Option::<String>::deserialize(deserializer)?.filter(|name| !name.is_empty());
    name.map(|name| T::deserialize(name.into_deserializer())).transpose()
}

/// Declares an enum of maps that are selected by their `type`. Each row names the type, its variant, the struct with
/// the other entries of the map, and additional keywords for the type's schema (such as `x-access` for services).
macro_rules! tagged_union {
    (
        $(#[$doc:meta])*
        pub enum $name:ident {
            $($value:literal => $variant:ident($body:ty) $({ $($key:literal: $extra:expr),* })?,)+
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum $name {
            $(
                #[doc = concat!("`type: ", $value, "`")]
                $variant($body),
            )+
        }

        impl $name {
            /// All values of `type`, in the order of the schema.
            pub const TYPES: &'static [&'static str] = &[$($value,)+];

            /// Returns the `type`.
            pub const fn type_name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $value,)+
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Variants;

                impl<'de> serde::de::Visitor<'de> for Variants {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(crate::config::strict::TAGGED_UNION)
                    }

                    fn visit_newtype_struct<D: serde::Deserializer<'de>>(
                        self,
                        deserializer: D,
                    ) -> Result<$name, D::Error> {
                        let value: serde_json::Value = serde::Deserialize::deserialize(deserializer)?;
                        crate::config::strict::from_value(&value).map_err(serde::de::Error::custom)
                    }

                    fn visit_enum<A: serde::de::EnumAccess<'de>>(self, access: A) -> Result<$name, A::Error> {
                        use serde::de::VariantAccess as _;
                        let (name, contents) = access.variant::<String>()?;
                        match name.as_str() {
                            $($value => contents.newtype_variant().map($name::$variant),)+
                            other => Err(serde::de::Error::unknown_variant(other, $name::TYPES)),
                        }
                    }
                }

                deserializer.deserialize_newtype_struct(crate::config::strict::TAGGED_UNION, Variants)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let branches = vec![$(
                    crate::config::closed_types::tagged_branch::<$body>(
                        generator,
                        $value,
                        &[$($(($key, $extra),)*)?],
                    ),
                )+];
                crate::config::closed_types::union_schema(branches)
            }
        }
    };
}

/// One branch of a tagged union.
pub(super) struct TaggedBranch {
    type_name: &'static str,
    description: Value,
    reference: Value,
}

/// Returns the schema of a tagged union. It selects one branch by `type`, so that a validator reports the violations of
/// that branch only, and an editor completes its properties.
pub(super) fn union_schema(branches: Vec<TaggedBranch>) -> Schema {
    let names: Vec<&str> = branches.iter().map(|branch| branch.type_name).collect();
    let descriptions: Vec<Value> = branches.iter().map(|branch| branch.description.clone()).collect();
    let conditions = branches.into_iter().map(|TaggedBranch { type_name, reference, .. }| {
        json!({
            "if": {
                "type": "object",
                "required": ["type"],
                "properties": { "type": { "const": type_name } },
            },
            "then": reference,
        })
    });
    schemars::json_schema!({
        "type": "object",
        "required": ["type"],
        "properties": {
            "type": {
                "description": "The type, which determines the other properties.",
                "enum": names,
                "enumDescriptions": descriptions,
                "x-sensitivity": "category",
            },
        },
        "allOf": conditions.collect::<Vec<_>>(),
        "x-sensitivity": "category",
    })
}

/// Adds the schema of one branch of a tagged union to `$defs`: the schema of the body, with `type` as an additional
/// property.
pub(super) fn tagged_branch<T: JsonSchema>(
    generator: &mut SchemaGenerator,
    type_name: &'static str,
    extra: &[(&str, &str)],
) -> TaggedBranch {
    let name = T::schema_name().into_owned();
    let mut body = T::json_schema(generator);
    let object = body.ensure_object();
    let description = object.get("description").cloned().unwrap_or_default();

    let mut properties = Map::new();
    properties.insert(
        "type".to_owned(),
        json!({
            "const": type_name,
            "description": description,
            "x-sensitivity": "category",
        }),
    );
    if let Some(Value::Object(own)) = object.remove("properties") {
        properties.extend(own);
    }
    let mut required = vec![json!("type")];
    if let Some(Value::Array(own)) = object.remove("required") {
        required.extend(own);
    }
    for (key, value) in extra {
        object.insert((*key).to_owned(), json!(value));
    }
    object.insert("type".to_owned(), json!("object"));
    object.insert("properties".to_owned(), Value::Object(properties));
    object.insert("required".to_owned(), Value::Array(required));
    object.insert("additionalProperties".to_owned(), json!(false));
    object.insert("x-sensitivity".to_owned(), json!("category"));
    generator.definitions_mut().insert(name.clone(), body.into());
    TaggedBranch { type_name, description, reference: json!({ "$ref": format!("#/$defs/{name}") }) }
}

pub(crate) use string_enum;
pub(super) use tagged_union;
