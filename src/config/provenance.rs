//! Where each value of the effective configuration came from. Pure.

use std::fmt;

use crate::pointer::Pointer;

/// Something outside the file that gave a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Input {
    /// A flag, as the user writes it: `--join-method`.
    Flag(String),
    /// An environment variable: `TELEPORT_PROXY`.
    Variable(String),
    /// A command that stands for a service of its name: `identity`.
    Command(String),
    /// The join URI of the file, a flag or a variable.
    JoinUri,
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) | Self::Variable(name) => f.write_str(name),
            Self::Command(name) => write!(f, "command {name}"),
            Self::JoinUri => f.write_str("join_uri"),
        }
    }
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

    /// The inputs that gave entries of the value at a place, where not all of it.
    pub fn entries(&self, pointer: &Pointer) -> impl Iterator<Item = &Input> {
        self.inputs
            .iter()
            .filter(|(place, _)| place.parent().as_ref() == Some(pointer))
            .map(|(_, input)| input)
    }

    /// Forgets the inputs at and below a place whose value is no more.
    pub(super) fn forget_inputs(&mut self, gone: &Pointer) {
        self.inputs.retain(|(place, _)| below(place, gone).is_none());
    }

    /// Moves the inputs at and below a place along with its value.
    pub(super) fn move_inputs(&mut self, from: &Pointer, to: &Pointer) {
        for (place, _) in &mut self.inputs {
            if let Some(rest) = below(place, from) {
                *place = Pointer::from(format!("{to}{rest}"));
            }
        }
    }
}

/// What of a pointer lies below a place that is at or above it.
fn below<'p>(pointer: &'p Pointer, place: &Pointer) -> Option<&'p str> {
    let rest = pointer.as_str().strip_prefix(place.as_str())?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// The entry whose place is the longest prefix of a pointer, and what of the pointer lies below it.
fn nearest<'a, 'p, T>(entries: &'a [(Pointer, T)], pointer: &'p Pointer) -> Option<(&'a T, &'p str)> {
    // Of several entries for one place, the last one is what the value came to be.
    entries
        .iter()
        .rev()
        .filter_map(|(place, entry)| Some((entry, below(pointer, place)?)))
        .min_by_key(|(_, rest)| rest.len())
}
