//! Reads a file that is JSON with serde_json, which is several times faster than a YAML parser. Depends on serde_json only.
//!
//! JSON is YAML, so this is only about speed: wherever the two could differ, there is no result here and the YAML reader decides.
//! A test compares the results of both. Never reports a problem, and never returns a value that the YAML reader would not.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::problem::{MAX_DEPTH, MAX_NODES, MERGE_KEY};
use crate::steps;

/// The longest key, in bytes, that is read here. YAML limits a key to 1024 characters.
const MAX_KEY: usize = 1000;

/// Returns the value of a text that is a JSON object, unless the YAML reader might find another value or a problem.
pub(super) fn read(text: &str) -> Option<Value> {
    // Each node takes at least one byte, so a short text does not exceed the limit on nodes.
    if !text.starts_with('{') || text.len() > MAX_NODES || !has_only_common_syntax(text) {
        return None;
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Node { depth: 0 }.deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    Some(value)
}

/// Returns whether a text has none of what YAML reads differently: a tab, a `:` that does not follow its key directly, and the
/// escape of half a character. Strings, in which all of this would be harmless, are not excepted.
fn has_only_common_syntax(text: &str) -> bool {
    let differs = |pair: &[u8]| matches!(pair, [b'\t', _] | [b' ' | b'\r' | b'\n', b':'] | [b'\\', b'u']);
    !text.as_bytes().windows(2).any(differs)
}

/// A value and the number of lists and maps around it.
#[derive(Clone, Copy)]
struct Node {
    depth: usize,
}

impl Node {
    /// Returns an item of this list or map.
    fn child<E: Error>(self) -> Result<Self, E> {
        match self.depth {
            MAX_DEPTH.. => Err(E::custom("too deep")),
            depth => Ok(Self { depth: depth + 1 }),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Node {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        steps::count(1);
        deserializer.deserialize_any(self)
    }
}

// Fractions and exponents are left to the YAML reader by not implementing `visit_f64`: serde_json may round them differently, and
// reads `-0` as a negative zero.
impl<'de> Visitor<'de> for Node {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value that is the same in YAML")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(Number::from(value)))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(Number::from(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let child = self.child()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(child)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let child = self.child()?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            steps::count(1);
            if key == MERGE_KEY || key.len() > MAX_KEY {
                return Err(A::Error::custom("a key with a meaning in YAML"));
            }
            if map.insert(key, entries.next_value_seed(child)?).is_some() {
                return Err(A::Error::custom("a key occurs twice"));
            }
        }
        Ok(Value::Object(map))
    }
}
