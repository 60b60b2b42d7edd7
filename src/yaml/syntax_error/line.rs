//! A line of the file, and the forms that it can have.

/// A part of a line, from some character to its end.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    /// The byte at which it starts in the file.
    pub(super) start: usize,
    pub(super) text: &'a str,
}

impl<'a> Line<'a> {
    /// Returns the line without the spaces around it.
    pub(super) fn trim(self) -> Self {
        let text = self.text.trim_start();
        Self { start: self.start + self.text.len() - text.len(), text: text.trim_end() }
    }

    /// Returns the content of an entry of a list, or the line if it is not an entry.
    pub(super) fn without_dashes(self) -> Self {
        let mut text = self.text;
        while let Some(rest) = text.strip_prefix("- ") {
            text = rest.trim_start();
        }
        Self { start: self.start + self.text.len() - text.len(), text }
    }

    /// Returns the part before the first quote or comment.
    pub(super) fn unquoted(self) -> &'a str {
        &self.text[..self.text.find(['"', '\'', '#']).unwrap_or(self.text.len())]
    }

    /// Returns whether the line is an entry of a list, with a space after its `-`.
    pub(super) fn is_entry(self) -> bool {
        self.text.starts_with("- ")
    }

    /// Returns whether the line, or the entry, has a key of any form, such as the name of a label.
    pub(super) fn has_key(self) -> bool {
        let content = self.without_dashes().text;
        content.ends_with(':') || content.contains(": ")
    }

    /// Returns the key at the start of the line.
    pub(super) fn key(self) -> Option<Key<'a>> {
        Key::of(self.text)
    }

    /// Returns where the `:` is, counted from the start of the line, if it follows a name, perhaps in quotes, and precedes a value
    /// without a space.
    pub(super) fn colon_without_space(self) -> Option<usize> {
        let (name, value) = self.text.split_once(':')?;
        let unquoted = name.trim_matches(['"', '\'']);
        (is_name(unquoted) && !value.is_empty() && !value.starts_with(' ') && !value.starts_with("//"))
            .then_some(name.len())
    }
}

/// A line of a map: a name, as the properties of a configuration have it, a `:`, and perhaps a value.
pub(super) struct Key<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a str,
}

impl<'a> Key<'a> {
    pub(super) fn of(text: &'a str) -> Option<Self> {
        let (name, value) = text.split_once(':')?;
        let is_key = !name.is_empty() && is_name(name) && (value.is_empty() || value.starts_with(' '));
        is_key.then_some(Self { name, value: value.trim() })
    }
}

/// Returns whether the value of a key begins a block, whose text is on the following lines.
pub(super) fn is_block(value: &str) -> bool {
    matches!(value, "|" | "|-" | "|+" | ">" | ">-" | ">+")
}

pub(super) fn is_name(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
