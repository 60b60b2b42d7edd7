//! Where each value of the effective configuration came from. Pure.

use std::fmt;

use serde_json::Value;

use crate::pointer::Pointer;

/// Something outside the file that gave a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Input {
    /// A flag, as the user writes it: `--join-method`.
    Flag(String),
    /// An environment variable: `TELEPORT_PROXY`.
    Variable(String),
    /// The join URI of the file, a flag or a variable.
    JoinUri,
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) | Self::Variable(name) => f.write_str(name),
            Self::JoinUri => f.write_str("join_uri"),
        }
    }
}

/// A value that a flag or an environment variable puts into the configuration.
///
/// It replaces what the file has at that place, and nothing else.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    /// The place, as in version 2.
    pub pointer: Pointer,
    /// The value.
    pub value: Value,
    /// Who says so.
    pub input: Input,
}

/// Where the values of an effective configuration came from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Origins {
    /// Places of version 2 that another place of the file gave, by a conversion from version 1.
    pub(super) moved: Vec<(Pointer, Pointer)>,
    /// Places that something outside the file gave.
    pub(super) inputs: Vec<(Pointer, Input)>,
}

/// Where one value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From this place of the file, as the file has it.
    File(Pointer),
    /// From outside the file.
    Input(Input),
}

impl Origins {
    /// Where the value at a place of the effective configuration came from: the nearest place at or above it that is known
    /// to have moved, else the same place of the file.
    pub fn of(&self, pointer: &Pointer) -> Origin {
        if let Some(input) = nearest(&self.inputs, pointer) {
            return Origin::Input(input.0.clone());
        }
        match nearest(&self.moved, pointer) {
            None => Origin::File(pointer.clone()),
            Some((from, rest)) => Origin::File(Pointer::from(format!("{from}{rest}"))),
        }
    }
}

/// The entry whose place is the longest prefix of a pointer, and what of the pointer lies below it.
fn nearest<'a, 'p, T>(entries: &'a [(Pointer, T)], pointer: &'p Pointer) -> Option<(&'a T, &'p str)> {
    // Of several entries for one place, the last one is what the value came to be.
    entries
        .iter()
        .rev()
        .filter_map(|(place, entry)| {
            let rest = pointer.as_str().strip_prefix(place.as_str())?;
            (rest.is_empty() || rest.starts_with('/')).then_some((entry, rest))
        })
        .min_by_key(|(_, rest)| rest.len())
}
