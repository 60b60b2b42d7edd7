//! JSON pointers (RFC 6901), which the whole program uses to refer to values of a configuration. Depends on nothing and
//! knows neither YAML nor the schema.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// A JSON pointer: empty for the whole document, otherwise a `/` before each token. Within a token, `~` is written as
/// `~0` and `/` as `~1`.
///
/// The `Debug` output contains `***` in place of each key that [`display_key`] hides.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pointer(String);

impl Pointer {
    /// Returns the pointer to the whole document.
    #[must_use]
    pub const fn root() -> Self {
        Self(String::new())
    }

    /// Appends `key`, escaping it.
    pub fn push_key(&mut self, key: &str) -> &mut Self {
        self.0.push('/');
        self.0.push_str(&escape(key));
        self
    }

    /// Appends a list index, counted from 0.
    pub fn push_index(&mut self, index: usize) -> &mut Self {
        // Writing to a string cannot fail.
        let _ = write!(self.0, "/{index}");
        self
    }

    /// Shortens the escaped form to `length` bytes, which removes what was appended since it had that length.
    pub fn truncate(&mut self, length: usize) {
        self.0.truncate(length);
    }

    /// Returns a copy with `key` appended.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        let mut next = self.copy_with_room(1 + key.len());
        next.push_key(key);
        next
    }

    /// Returns a copy with a list index appended, counted from 0.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        // Most lists have fewer than a thousand items.
        let mut next = self.copy_with_room("/999".len());
        next.push_index(index);
        next
    }

    /// Returns a copy to which this many bytes can be appended without another allocation.
    fn copy_with_room(&self, room: usize) -> Self {
        let mut copy = String::with_capacity(self.0.len() + room);
        copy.push_str(&self.0);
        Self(copy)
    }

    /// Returns the pointer without its last token, or `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.0.rfind('/').map(|at| Self(self.0[..at].to_owned()))
    }

    /// Returns the last token, unescaped, or `None` for the root.
    #[must_use]
    pub fn last(&self) -> Option<Cow<'_, str>> {
        self.0.rfind('/').map(|at| unescape(&self.0[at + 1..]))
    }

    /// Returns whether this points to the whole document.
    #[must_use]
    pub const fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the pointer in its escaped form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Iterates over the tokens, starting at the root, unescaped.
    pub fn tokens(&self) -> impl Iterator<Item = Cow<'_, str>> {
        tokens(&self.0)
    }
}

/// Wraps a pointer that is already escaped.
impl From<&str> for Pointer {
    fn from(escaped: &str) -> Self {
        Self(escaped.to_owned())
    }
}

/// Wraps a pointer that is already escaped.
impl From<String> for Pointer {
    fn from(escaped: String) -> Self {
        Self(escaped)
    }
}

impl AsRef<str> for Pointer {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Self = self.tokens().fold(Self::root(), |shown, key| shown.key(display_key(&key)));
        f.debug_tuple("Pointer").field(&shown.0).finish()
    }
}

/// Iterates over the tokens of an escaped pointer, unescaped. Text before the first `/` is skipped.
pub fn tokens(pointer: &str) -> impl Iterator<Item = Cow<'_, str>> {
    pointer.split('/').skip(1).map(unescape)
}

fn escape(token: &str) -> Cow<'_, str> {
    if token.contains(['~', '/']) {
        Cow::Owned(token.replace('~', "~0").replace('/', "~1"))
    } else {
        Cow::Borrowed(token)
    }
}

fn unescape(token: &str) -> Cow<'_, str> {
    if token.contains('~') {
        Cow::Owned(token.replace("~1", "/").replace("~0", "~"))
    } else {
        Cow::Borrowed(token)
    }
}

/// Replaces text that must not be shown.
pub const MASK: &str = "***";

/// Returns a key as it may be displayed: unchanged, or `***` if it does not look like a name.
///
/// A key can contain a secret by mistake, as in `token:secret`, where the space after the `:` is missing. A long key with
/// several digits may be a token.
#[must_use]
pub fn display_key(key: &str) -> &str {
    let is_name_char = |found: char| found.is_ascii_alphanumeric() || "_-./*<".contains(found);
    let digits = key.bytes().filter(u8::is_ascii_digit).count();
    let is_name = (1..=64).contains(&key.len()) && key.chars().all(is_name_char);
    if is_name && (key.len() < 16 || digits <= 2) { key } else { MASK }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_escaped_and_unescaped() {
        let pointer = Pointer::root().key("a/b").index(3).key("~1").key("");
        assert_eq!(pointer.as_str(), "/a~1b/3/~01/");
        assert_eq!(pointer.tokens().collect::<Vec<_>>(), ["a/b", "3", "~1", ""]);
        assert_eq!(pointer.last().as_deref(), Some(""));
    }

    #[test]
    fn the_root_has_neither_parent_nor_tokens() {
        assert_eq!(Pointer::root().key("a").parent(), Some(Pointer::root()));
        assert_eq!(Pointer::root().parent(), None);
        assert_eq!(Pointer::root().last(), None);
        assert_eq!(Pointer::root().tokens().count(), 0);
    }
}
