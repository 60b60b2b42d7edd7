//! Parses text into a `serde_json::Value` with a visitor over serde_yaml's deserializer and a budget that limits alias
//! expansion. Depends on `problem` and `scalar`. Does not record positions.

use std::cell::Cell;
use std::fmt;

use serde::de::{self, DeserializeSeed, EnumAccess, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

use super::problem::{MAX_BYTES, MAX_DEPTH, MAX_NODES, ProblemKind};
use super::scalar::MERGE_KEY;

/// A document could not be parsed into a value.
pub(crate) struct ValueError {
    /// The problem that this module found; `None` if the YAML crate reported the error.
    pub(crate) kind: Option<ProblemKind>,
    /// The YAML crate's message. It may quote values of the file, so compare it with known messages but never show it.
    pub(crate) parser_message: String,
    /// The character, counted from 0, at which the YAML crate stopped, if known.
    pub(crate) character: Option<usize>,
}

impl From<ProblemKind> for ValueError {
    fn from(kind: ProblemKind) -> Self {
        Self { kind: Some(kind), parser_message: String::new(), character: None }
    }
}

/// Parses the first document of `text`. Also returns whether another one follows.
pub(crate) fn parse_first_document(text: &str) -> Result<(Value, bool), ValueError> {
    let budget =
        Budget { nodes: Cell::new(MAX_NODES), bytes: Cell::new(MAX_BYTES), problem: Cell::new(None) };
    let mut documents = serde_yaml::Deserializer::from_str(text);
    let Some(document) = documents.next() else {
        return Err(ProblemKind::Empty.into());
    };
    match (Seed { budget: &budget, depth: 0 }).deserialize(document) {
        Ok(value) => Ok((value, documents.next().is_some())),
        Err(error) => Err(ValueError {
            kind: budget.problem.get(),
            character: error.location().map(|location| location.index()),
            parser_message: error.to_string(),
        }),
    }
}

/// The remaining numbers of nodes and bytes, shared by all nesting levels.
struct Budget {
    nodes: Cell<usize>,
    bytes: Cell<usize>,
    /// The problem that stopped the deserializer, whose own error type cannot carry it.
    problem: Cell<Option<ProblemKind>>,
}

impl Budget {
    /// Records the problem and returns a placeholder error, which stops the deserializer.
    fn fail<E: de::Error>(&self, kind: ProblemKind) -> E {
        self.problem.set(Some(kind));
        E::custom("rejected")
    }

    fn spend_node<E: de::Error>(&self) -> Result<(), E> {
        let left = self.nodes.get().checked_sub(1).ok_or_else(|| self.fail(ProblemKind::TooManyNodes))?;
        self.nodes.set(left);
        Ok(())
    }

    fn copy_string<E: de::Error>(&self, text: &str) -> Result<String, E> {
        let left =
            self.bytes.get().checked_sub(text.len()).ok_or_else(|| self.fail(ProblemKind::TooLarge))?;
        self.bytes.set(left);
        Ok(text.to_owned())
    }
}

/// Builds one value.
#[derive(Clone, Copy)]
struct Seed<'b> {
    budget: &'b Budget,
    depth: usize,
}

impl Seed<'_> {
    /// Returns the seed for the contents of a list or map.
    fn inner<E: de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(self.budget.fail(ProblemKind::TooDeep));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.budget.spend_node()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a YAML value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    /// Called for a file without any document.
    fn visit_none<E: de::Error>(self) -> Result<Value, E> {
        Err(self.budget.fail(ProblemKind::Empty))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    // A JSON number has at most 64 bits. Larger ones lose precision, as in any JSON parser; a configuration has none.
    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Value, E> {
        self.visit_f64(value as f64)
    }

    fn visit_u128<E: de::Error>(self, value: u128) -> Result<Value, E> {
        self.visit_f64(value as f64)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| self.budget.fail(ProblemKind::NotFinite))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        self.budget.copy_string(value).map(Value::String)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut map = Map::new();
        let mut merge = None;
        while let Some(key) = entries.next_key_seed(KeySeed(self.budget))? {
            if key == MERGE_KEY {
                let value = entries.next_value_seed(inner)?;
                if merge.replace(value).is_some() {
                    return Err(self.budget.fail(ProblemKind::DuplicateKey));
                }
                continue;
            }
            match map.entry(key) {
                Entry::Occupied(_) => return Err(self.budget.fail(ProblemKind::DuplicateKey)),
                Entry::Vacant(entry) => entry.insert(entries.next_value_seed(inner)?),
            };
        }
        if let Some(value) = merge {
            merge_into(&mut map, value).map_err(|kind| self.budget.fail(kind))?;
        }
        Ok(Value::Object(map))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _tagged: A) -> Result<Value, A::Error> {
        Err(self.budget.fail(ProblemKind::Tag))
    }
}

/// Adds the keys that `map` does not have yet. In a list of maps, the earlier one takes precedence.
fn merge_into(map: &mut Map<String, Value>, value: Value) -> Result<(), ProblemKind> {
    let sources = match value {
        Value::Array(items) => items,
        single => vec![single],
    };
    for source in sources {
        let Value::Object(source) = source else {
            return Err(ProblemKind::Merge);
        };
        for (key, value) in source {
            map.entry(key).or_insert(value);
        }
    }
    Ok(())
}

/// Builds one key.
struct KeySeed<'b>(&'b Budget);

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = String;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        // Not `deserialize_str`, because that would accept the number 1 as the string "1".
        let seed = Seed { budget: self.0, depth: MAX_DEPTH };
        match deserializer.deserialize_any(seed) {
            Ok(Value::String(key)) => Ok(key),
            Ok(_) => Err(self.0.fail(ProblemKind::KeyNotString)),
            Err(error) => {
                if self.0.problem.get() == Some(ProblemKind::TooDeep) {
                    self.0.problem.set(Some(ProblemKind::KeyNotString));
                }
                Err(error)
            }
        }
    }
}
