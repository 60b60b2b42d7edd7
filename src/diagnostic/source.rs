//! The file that diagnostics are about: its name, its text, what of it may be shown. Depends on `yaml` for positions, and
//! parses for them only when one is asked for.

use std::cell::OnceCell;

use super::Place;
use crate::yaml::{Positions, Span};

/// Whether a scalar may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// It is known to be neither a secret nor an identifier.
    Visible,
    /// It is not to be shown.
    Hidden,
}

/// What of a file may be shown. Keys are; a scalar is only where this says so.
///
/// A function from a JSON pointer is one, and then names no property.
pub trait Disclosure {
    /// Whether the scalar at the JSON pointer may be shown. Nothing is known of it: it is hidden.
    fn visibility(&self, pointer: &str) -> Option<Visibility>;

    /// Whether the keys of a map at the JSON pointer may be shown: not where it stands in the place of a secret, and may be
    /// part of it.
    fn shows_keys(&self, _pointer: &str) -> bool {
        true
    }

    /// Whether some property, anywhere, has this name. Asked where a syntax error leaves no pointers.
    fn names_property(&self, name: &str) -> bool;
}

impl<F: Fn(&str) -> Option<Visibility>> Disclosure for F {
    fn visibility(&self, pointer: &str) -> Option<Visibility> {
        self(pointer)
    }

    fn names_property(&self, _name: &str) -> bool {
        false
    }
}

/// One file.
pub struct Source<'a> {
    name: &'a str,
    text: &'a str,
    disclosure: &'a dyn Disclosure,
    positions: OnceCell<Positions<'a>>,
}

impl<'a> Source<'a> {
    /// `name` is shown as it is, `text` is what [`yaml::decode`](crate::yaml::decode) gave, or empty where it gave nothing.
    #[must_use]
    pub fn new(name: &'a str, text: &'a str, disclosure: &'a dyn Disclosure) -> Self {
        Self { name, text, disclosure, positions: OnceCell::new() }
    }

    /// The file's name.
    #[must_use]
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// The file's text.
    #[must_use]
    pub const fn text(&self) -> &'a str {
        self.text
    }

    /// Where the text's values stand.
    pub fn positions(&self) -> &Positions<'a> {
        self.positions.get_or_init(|| Positions::of(self.text))
    }

    pub(super) fn disclosure(&self) -> &dyn Disclosure {
        self.disclosure
    }

    /// Where a place is. What is not there is where the innermost value around it is; nothing for the document as a whole.
    #[must_use]
    pub fn locate(&self, place: &Place) -> Option<Span> {
        let positions = self.positions_for(place)?;
        let (mut pointer, mut as_key) = match place {
            Place::Span(span) => return Some(*span),
            Place::Input(_) | Place::File => return None,
            Place::Key(pointer) => (pointer.clone(), true),
            Place::Value(pointer) => (pointer.clone(), false),
        };
        loop {
            if pointer.is_root() {
                return None;
            }
            let found = match as_key {
                true => positions.key(pointer.as_str()).or_else(|| positions.value(pointer.as_str())),
                false => positions.value(pointer.as_str()),
            };
            if found.is_some() {
                return found;
            }
            // What is missing in a map is best shown at the map's key: its value is many lines.
            as_key = true;
            pointer = pointer.parent()?;
        }
    }

    fn positions_for(&self, place: &Place) -> Option<&Positions<'a>> {
        (!matches!(place, Place::Input(_) | Place::File)).then(|| self.positions())
    }
}
