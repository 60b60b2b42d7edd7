//! From text to `serde_json::Value`: one visitor over serde_yaml's deserializer, with a budget that bounds what aliases can
//! expand to. Depends on serde_yaml, which also decides what a plain scalar is. Gives no positions.

use std::cell::Cell;
use std::fmt;

use serde::de::{self, DeserializeSeed, EnumAccess, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

use super::problem::ProblemKind;
use super::{MAX_BYTES, MAX_DEPTH, MAX_NODES};

/// The key whose value is merged into its map.
pub(crate) const MERGE: &str = "<<";

/// Why there is no value.
pub(crate) struct Refused {
    /// What this module refused, or nothing where the YAML crate did.
    pub(crate) kind: Option<ProblemKind>,
    /// What the YAML crate says. May hold values of the file: only to be compared with what is known.
    pub(crate) said: String,
    /// The character, from 0, where it stopped, if it knows.
    pub(crate) character: Option<usize>,
}

/// The first document of `text`, and whether another one follows.
pub(crate) fn first(text: &str) -> Result<(Value, bool), Refused> {
    let budget =
        Budget { nodes: Cell::new(MAX_NODES), bytes: Cell::new(MAX_BYTES), refused: Cell::new(None) };
    let mut documents = serde_yaml::Deserializer::from_str(text);
    let Some(document) = documents.next() else {
        return Err(Refused { kind: Some(ProblemKind::Empty), said: String::new(), character: None });
    };
    match (Seed { budget: &budget, depth: 0 }).deserialize(document) {
        Ok(value) => Ok((value, documents.next().is_some())),
        Err(error) => Err(Refused {
            kind: budget.refused.get(),
            character: error.location().map(|location| location.index()),
            said: error.to_string(),
        }),
    }
}

/// What a plain scalar stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plain {
    Null,
    Bool,
    Number,
    NotFinite,
    String,
}

/// What the plain scalar `text` stands for, by the rules that [`first`] follows.
pub(crate) fn plain(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Plain::Null,
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => Plain::Bool,
        _ => match text.parse::<serde_yaml::Number>() {
            Ok(number) if number.is_finite() => Plain::Number,
            Ok(_) => Plain::NotFinite,
            Err(_) => Plain::String,
        },
    }
}

/// What may still be built, shared by all levels.
struct Budget {
    nodes: Cell<usize>,
    bytes: Cell<usize>,
    refused: Cell<Option<ProblemKind>>,
}

impl Budget {
    fn refuse<E: de::Error>(&self, kind: ProblemKind) -> E {
        self.refused.set(Some(kind));
        E::custom("refused")
    }

    fn node<E: de::Error>(&self) -> Result<(), E> {
        let left = self.nodes.get().checked_sub(1).ok_or_else(|| self.refuse(ProblemKind::TooManyNodes))?;
        self.nodes.set(left);
        Ok(())
    }

    fn text<E: de::Error>(&self, text: &str) -> Result<String, E> {
        let left =
            self.bytes.get().checked_sub(text.len()).ok_or_else(|| self.refuse(ProblemKind::TooLarge))?;
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
    /// The seed of what is inside.
    fn inner<E: de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(self.budget.refuse(ProblemKind::TooDeep));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.budget.node()?;
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

    /// The deserializer's word for a file without any document.
    fn visit_none<E: de::Error>(self) -> Result<Value, E> {
        Err(self.budget.refuse(ProblemKind::Empty))
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

    // JSON numbers end at 64 bits. What is larger loses digits, as it does in every JSON reader; nothing in a
    // configuration is that large.
    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Value, E> {
        self.visit_f64(value as f64)
    }

    fn visit_u128<E: de::Error>(self, value: u128) -> Result<Value, E> {
        self.visit_f64(value as f64)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| self.budget.refuse(ProblemKind::NotFinite))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        self.budget.text(value).map(Value::String)
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
            if key == MERGE {
                let value = entries.next_value_seed(inner)?;
                if merge.replace(value).is_some() {
                    return Err(self.budget.refuse(ProblemKind::DuplicateKey));
                }
                continue;
            }
            match map.entry(key) {
                Entry::Occupied(_) => return Err(self.budget.refuse(ProblemKind::DuplicateKey)),
                Entry::Vacant(entry) => entry.insert(entries.next_value_seed(inner)?),
            };
        }
        if let Some(value) = merge {
            merge_into(&mut map, value).map_err(|kind| self.budget.refuse(kind))?;
        }
        Ok(Value::Object(map))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _tagged: A) -> Result<Value, A::Error> {
        Err(self.budget.refuse(ProblemKind::Tag))
    }
}

/// Adds what `map` does not have yet. Of a list of maps, an earlier one wins.
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
        // Decided here, and not by `deserialize_str`, because that would take the number 1 for the text "1".
        let seed = Seed { budget: self.0, depth: MAX_DEPTH };
        match deserializer.deserialize_any(seed) {
            Ok(Value::String(key)) => Ok(key),
            Ok(_) => Err(self.0.refuse(ProblemKind::KeyNotString)),
            Err(error) => {
                if self.0.refused.get() == Some(ProblemKind::TooDeep) {
                    self.0.refused.set(Some(ProblemKind::KeyNotString));
                }
                Err(error)
            }
        }
    }
}
