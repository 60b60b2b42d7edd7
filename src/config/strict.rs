//! A strict deserializer for `serde_json::Value`. Depends only on serde.
//!
//! serde_json's own deserializer is lenient: it accepts a sequence for a struct, and a one-key map for a unit variant.
//! The JSON Schema does not describe these forms, and the schema and the types must accept exactly the same values.

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, Unexpected,
    VariantAccess, Visitor,
};
use serde_json::{Error, Map, Value};

/// Deserializes a `T` from a value.
pub(super) fn from_value<T: DeserializeOwned>(value: &Value) -> Result<T, Error> {
    T::deserialize(StrictDeserializer(value))
}

#[derive(Clone, Copy)]
struct StrictDeserializer<'a>(&'a Value);

impl StrictDeserializer<'_> {
    fn invalid_type<'de, V: Visitor<'de>>(self, visitor: &V) -> Error {
        let unexpected = match self.0 {
            Value::Null => Unexpected::Unit,
            Value::Bool(value) => Unexpected::Bool(*value),
            Value::Number(_) => Unexpected::Other("a number"),
            Value::String(_) => Unexpected::Other("a string"),
            Value::Array(_) => Unexpected::Seq,
            Value::Object(_) => Unexpected::Map,
        };
        Error::invalid_type(unexpected, visitor)
    }
}

impl<'de> IntoDeserializer<'de, Error> for StrictDeserializer<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for StrictDeserializer<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), _, _) => visitor.visit_u64(number),
                (_, Some(number), _) => visitor.visit_i64(number),
                (_, _, Some(number)) => visitor.visit_f64(number),
                _ => Err(self.invalid_type(&visitor)),
            },
            Value::String(string) => visitor.visit_str(string),
            Value::Array(items) => {
                let mut items = SeqDeserializer::new(items.iter().map(StrictDeserializer));
                let result = visitor.visit_seq(&mut items)?;
                items.end()?;
                Ok(result)
            }
            Value::Object(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Value::Object(map) = self.0 else { return Err(self.invalid_type(&visitor)) };
        let mut entries =
            MapDeserializer::new(map.iter().map(|(key, value)| (key.as_str(), StrictDeserializer(value))));
        let result = visitor.visit_map(&mut entries)?;
        entries.end()?;
        Ok(result)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    /// A [`TAGGED_UNION`] is an enum.
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if name != TAGGED_UNION {
            return visitor.visit_newtype_struct(self);
        }
        let Value::Object(map) = self.0 else { return Err(self.invalid_type(&visitor)) };
        let variant = map.get(TYPE).ok_or_else(|| Error::missing_field(TYPE))?;
        visitor.visit_enum(Tagged { variant, map })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct enum identifier ignored_any
    }
}

/// The name with which a tagged union asks any deserializer for a newtype. This one recognises it, and does not copy the map; all
/// others call `visit_newtype_struct`.
pub(super) const TAGGED_UNION: &str = "a map with `type`";

/// The key that selects the variant of a tagged union.
const TYPE: &str = "type";

/// A map and the value of its entry `type`.
struct Tagged<'a> {
    variant: &'a Value,
    map: &'a Map<String, Value>,
}

impl<'de, 'a> EnumAccess<'de> for Tagged<'a> {
    type Error = Error;
    type Variant = Contents<'a>;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Contents<'a>), Error> {
        Ok((seed.deserialize(StrictDeserializer(self.variant))?, Contents(self.map)))
    }
}

/// The entries of a map, except `type`.
struct Contents<'a>(&'a Map<String, Value>);

impl<'de> VariantAccess<'de> for Contents<'_> {
    type Error = Error;

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        let others = self.0.iter().filter(|(key, _)| *key != TYPE);
        seed.deserialize(MapDeserializer::new(
            others.map(|(key, value)| (key.as_str(), StrictDeserializer(value))),
        ))
    }

    // The declared enums have no other kinds of variants.

    fn unit_variant(self) -> Result<(), Error> {
        Err(Error::invalid_type(Unexpected::NewtypeVariant, &"a unit variant"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Error> {
        Err(Error::invalid_type(Unexpected::NewtypeVariant, &visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        Err(Error::invalid_type(Unexpected::NewtypeVariant, &visitor))
    }
}
