//! The file that diagnostics refer to: its name, its text, and which parts of it may be shown. Depends on `yaml` for
//! positions, and parses the text for them only when needed.

use std::cell::OnceCell;

use super::Target;
use crate::yaml::{Positions, Span};

/// Whether a scalar may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// The scalar is known to be neither a secret nor an identifier.
    Visible,
    /// The scalar must not be shown.
    Hidden,
}

/// Decides which parts of a file may be shown. Keys are shown by default; scalars only if this allows it.
///
/// A function from a JSON pointer to a visibility implements this; it treats no name as a property name.
pub trait Disclosure {
    /// Returns whether the scalar at the JSON pointer may be shown. `None` if it is unknown, in which case it is hidden.
    fn visibility(&self, pointer: &str) -> Option<Visibility>;

    /// Returns whether the keys of the map at the JSON pointer may be shown. False for a map in place of a secret,
    /// because its keys may be part of the secret.
    fn shows_keys(&self, _pointer: &str) -> bool {
        true
    }

    /// Returns whether any property, anywhere, has this name. Used after a syntax error, when pointers are not known.
    fn is_property_name(&self, name: &str) -> bool;
}

impl<F: Fn(&str) -> Option<Visibility>> Disclosure for F {
    fn visibility(&self, pointer: &str) -> Option<Visibility> {
        self(pointer)
    }

    fn is_property_name(&self, _name: &str) -> bool {
        false
    }
}

/// A file that diagnostics refer to.
pub struct SourceFile<'a> {
    name: &'a str,
    text: &'a str,
    disclosure: &'a dyn Disclosure,
    positions: OnceCell<Positions<'a>>,
}

impl<'a> SourceFile<'a> {
    /// Creates a source file. `name` appears in the output. `text` is the result of [`yaml::decode`](crate::yaml::decode), or
    /// empty if decoding failed.
    #[must_use]
    pub fn new(name: &'a str, text: &'a str, disclosure: &'a dyn Disclosure) -> Self {
        Self { name, text, disclosure, positions: OnceCell::new() }
    }

    /// Returns the name of the file.
    #[must_use]
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// Returns the text of the file.
    #[must_use]
    pub const fn text(&self) -> &'a str {
        self.text
    }

    /// Returns the positions of the values in the text. Not part of the public API.
    #[doc(hidden)]
    pub fn positions(&self) -> &Positions<'a> {
        self.positions.get_or_init(|| Positions::parse(self.text))
    }

    pub(super) fn disclosure(&self) -> &dyn Disclosure {
        self.disclosure
    }

    /// Returns the span of a target. If the file does not contain it, returns the span of the innermost value around it;
    /// `None` if that is the whole document.
    #[must_use]
    pub fn locate(&self, target: &Target) -> Option<Span> {
        let (mut pointer, mut prefer_key) = match target {
            Target::Span(span) => return Some(*span),
            Target::Override(_) | Target::File => return None,
            Target::Key(pointer) => (pointer.clone(), true),
            Target::Value(pointer) => (pointer.clone(), false),
        };
        let positions = self.positions();
        while !pointer.is_root() {
            let key = if prefer_key { positions.key(pointer.as_str()) } else { None };
            let span = key.or_else(|| positions.value(pointer.as_str()));
            if span.is_some() {
                return span;
            }
            // A map that lacks something is shown by its key, because its value may have many lines.
            prefer_key = true;
            pointer = pointer.parent()?;
        }
        None
    }
}
