//! The file that diagnostics refer to: its name, its text, and which parts of it may be shown. Depends on `yaml` for
//! positions, and parses the text for them only when needed.

use std::borrow::Cow;
use std::cell::OnceCell;

use super::Target;
use crate::pointer::Pointer;
use crate::yaml::internal::Positions;
use crate::yaml::{self, Span, display_key};

/// Whether a scalar may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// The scalar is known to be neither a secret nor an identifier.
    Visible,
    /// The scalar must not be shown.
    Hidden,
}

/// Decides which parts of a file may be shown. Nothing else is shown.
///
/// A function from a JSON pointer to a visibility implements this; it shows keys that look like names, and knows neither
/// words nor property names.
pub trait Disclosure {
    /// Returns whether a scalar that is written for the JSON pointer may be shown. `string` is its value if it is a string.
    /// `None` if there is no such property.
    fn visibility(&self, pointer: &str, string: Option<&str>) -> Option<Visibility>;

    /// Returns whether a key of the map at the JSON pointer may be shown.
    fn shows_key(&self, _map: &str, key: &str) -> bool {
        display_key(key) == key
    }

    /// Returns whether a string is one of the words that the program defines, which may be shown wherever no property is
    /// known.
    fn is_known_word(&self, _string: &str) -> bool {
        false
    }

    /// Returns whether any property, anywhere, has this name. Used after a syntax error, when pointers are not known.
    fn is_property_name(&self, name: &str) -> bool;
}

impl<F: Fn(&str) -> Option<Visibility>> Disclosure for F {
    fn visibility(&self, pointer: &str, _string: Option<&str>) -> Option<Visibility> {
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
    /// Creates a source file. `name` appears in the output. `contents` are bytes or a string, as they are given to
    /// [`load`](crate::config::load), or, for a file in UTF-16, the text that [`yaml::decode`] returns.
    #[must_use]
    pub fn new(
        name: &'a str,
        contents: &'a (impl AsRef<[u8]> + ?Sized),
        disclosure: &'a dyn Disclosure,
    ) -> Self {
        // A file that is not text has no places to show, and the decoded text of a file in UTF-16 does not live long enough.
        let text = match yaml::decode(contents.as_ref()) {
            Ok(Cow::Borrowed(text)) => text,
            Ok(Cow::Owned(_)) | Err(_) => "",
        };
        Self { name, text, disclosure, positions: OnceCell::new() }
    }

    /// Returns the name of the file.
    #[must_use]
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// Returns the text of the file, without a byte order mark. Empty if the file is not UTF-8, or too large.
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

    /// Returns whether a pointer contains only keys that may be shown.
    pub(super) fn may_show_pointer(&self, pointer: &Pointer) -> bool {
        let mut parent = Pointer::root();
        pointer.tokens().all(|token| {
            let may_show = self.disclosure.shows_key(parent.as_str(), &token);
            parent.push_key(&token);
            may_show
        })
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
