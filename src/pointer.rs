//! JSON pointers (RFC 6901): how every part of the program names a place in a configuration. Depends on nothing and knows
//! neither YAML nor the schema.

use std::borrow::Cow;
use std::fmt;

/// A JSON pointer. The root is the empty pointer; every step is `/` and a token in which `~` is `~0` and `/` is `~1`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pointer(String);

impl Pointer {
    /// The pointer to the whole document.
    #[must_use]
    pub const fn root() -> Self {
        Self(String::new())
    }

    /// Steps to the value of `key`, which is escaped here.
    pub fn push_key(&mut self, key: &str) -> &mut Self {
        self.0.push('/');
        self.0.push_str(&escape(key));
        self
    }

    /// Steps to the item at `index`, from 0.
    pub fn push_index(&mut self, index: usize) -> &mut Self {
        self.0.push('/');
        self.0.push_str(&index.to_string());
        self
    }

    /// A copy, one step further to `key`.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        let mut next = self.clone();
        next.push_key(key);
        next
    }

    /// A copy, one step further to the item at `index`, from 0.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        let mut next = self.clone();
        next.push_index(index);
        next
    }

    /// The pointer one step up, or nothing for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.0.rfind('/').map(|at| Self(self.0[..at].to_owned()))
    }

    /// The last token, unescaped, or nothing for the root.
    #[must_use]
    pub fn last(&self) -> Option<Cow<'_, str>> {
        self.0.rfind('/').map(|at| unescape(&self.0[at + 1..]))
    }

    /// Whether this is the whole document.
    #[must_use]
    pub const fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The pointer as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tokens from the root on, unescaped.
    pub fn tokens(&self) -> impl Iterator<Item = Cow<'_, str>> {
        tokens(&self.0)
    }
}

/// Takes a pointer that is already escaped, such as one that the `jsonschema` crate reports.
impl From<&str> for Pointer {
    fn from(written: &str) -> Self {
        Self(written.to_owned())
    }
}

/// Takes a pointer that is already escaped.
impl From<String> for Pointer {
    fn from(written: String) -> Self {
        Self(written)
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

/// The tokens of a written pointer, unescaped. A leading part without `/` is skipped: it names nothing.
pub(crate) fn tokens(pointer: &str) -> impl Iterator<Item = Cow<'_, str>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_escape_what_the_tokens_give_back() {
        let pointer = Pointer::root().key("a/b").index(3).key("~1").key("");
        assert_eq!(pointer.as_str(), "/a~1b/3/~01/");
        assert_eq!(pointer.tokens().collect::<Vec<_>>(), ["a/b", "3", "~1", ""]);
        assert_eq!(pointer.last().as_deref(), Some(""));
    }

    #[test]
    fn the_root_has_no_parent_and_no_token() {
        assert_eq!(Pointer::root().key("a").parent(), Some(Pointer::root()));
        assert_eq!(Pointer::root().parent(), None);
        assert_eq!(Pointer::root().last(), None);
        assert_eq!(Pointer::root().tokens().count(), 0);
    }
}
