//! JSONPath queries that select one value. Depends on nothing.
//!
//! These are the *singular queries* of RFC 9535: `$`, followed by names and indexes. Wildcards, slices, filters and `..`
//! can select several values, and a token is one value.

use std::str::Chars;

use serde_json::Value;

/// A query that selects at most one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPath(Vec<Segment>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Name(String),
    /// A negative index counts from the end.
    Index(i64),
}

/// The string is not a query that selects at most one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.message())]
#[non_exhaustive]
pub enum JsonPathError {
    /// The query does not start with `$`.
    NoRoot,
    /// The query has a part that may select several values, or that cannot be parsed.
    Segment,
    /// A name in quotation marks does not end, or contains an escape other than `\\`, `\'` and `\"`.
    Quoted,
    /// An index is not an integer in the range of 64 bits.
    Index,
}

impl JsonPathError {
    /// Returns the message.
    pub const fn message(self) -> &'static str {
        match self {
            Self::NoRoot => "a JSONPath starts with `$`",
            Self::Segment => {
                "only names and indexes are supported, such as `.token`, `['id-token']` and `[0]`"
            }
            Self::Quoted => {
                "a name in quotation marks ends with the same mark, and may escape only `\\` and the marks"
            }
            Self::Index => "an index is an integer",
        }
    }
}

impl JsonPath {
    /// Parses a query.
    ///
    /// # Errors
    ///
    /// Returns an error if the string is not a singular query of RFC 9535.
    pub fn parse(query: &str) -> Result<Self, JsonPathError> {
        let mut rest = query.strip_prefix('$').ok_or(JsonPathError::NoRoot)?.chars();
        let mut segments = Vec::new();
        while let Some(start) = rest.next() {
            segments.push(match start {
                '.' => Segment::Name(member_name(&mut rest)?),
                '[' => bracketed(&mut rest)?,
                _ => return Err(JsonPathError::Segment),
            });
        }
        Ok(Self(segments))
    }

    /// Returns the value that the query selects.
    pub fn select<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(value, |value, segment| match segment {
            Segment::Name(name) => value.as_object()?.get(name),
            Segment::Index(index) => {
                let list = value.as_array()?;
                let from_start =
                    if *index < 0 { index.checked_add_unsigned(list.len() as u64)? } else { *index };
                list.get(usize::try_from(from_start).ok()?)
            }
        })
    }
}

/// Reads the name after a dot.
fn member_name(rest: &mut Chars<'_>) -> Result<String, JsonPathError> {
    let text = rest.as_str();
    let is_in_name = |char: char| char.is_ascii_alphanumeric() || char == '_' || !char.is_ascii();
    let (name, tail) = text.split_at(text.find(|char| !is_in_name(char)).unwrap_or(text.len()));
    if name.is_empty() || name.starts_with(|char: char| char.is_ascii_digit()) {
        return Err(JsonPathError::Segment);
    }
    *rest = tail.chars();
    Ok(name.to_owned())
}

/// Reads a name in quotation marks or an index, and the closing bracket.
fn bracketed(rest: &mut Chars<'_>) -> Result<Segment, JsonPathError> {
    let text = rest.as_str();
    match text.chars().next() {
        Some(mark @ ('\'' | '"')) => {
            rest.next();
            let name = quoted(rest, mark)?;
            if rest.next() == Some(']') { Ok(Segment::Name(name)) } else { Err(JsonPathError::Segment) }
        }
        Some('-' | '0'..='9') => {
            let (index, tail) = text.split_once(']').ok_or(JsonPathError::Segment)?;
            *rest = tail.chars();
            index.parse().map(Segment::Index).map_err(|_| JsonPathError::Index)
        }
        _ => Err(JsonPathError::Segment),
    }
}

/// Reads a string up to its closing `mark`.
fn quoted(rest: &mut Chars<'_>, mark: char) -> Result<String, JsonPathError> {
    let mut name = String::new();
    loop {
        match rest.next().ok_or(JsonPathError::Quoted)? {
            '\\' => match rest.next() {
                Some(escaped @ ('\\' | '\'' | '"')) => name.push(escaped),
                _ => return Err(JsonPathError::Quoted),
            },
            char if char == mark => return Ok(name),
            char => name.push(char),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_and_indexes_select_one_value() {
        let document = json!({ "a": { "b-c": ["x", { "it's": "y" }], "é1_": "z" }, "": "empty" });
        let select = |query: &str| JsonPath::parse(query).unwrap().select(&document).cloned();
        assert_eq!(select("$"), Some(document.clone()));
        assert_eq!(select("$.a.é1_"), Some(json!("z")));
        assert_eq!(select("$['a'][\"b-c\"][0]"), Some(json!("x")));
        assert_eq!(select(r"$.a['b-c'][-1]['it\'s']"), Some(json!("y")));
        assert_eq!(select("$['']"), Some(json!("empty")));
        for nothing in ["$.b", "$.a[0]", "$.a['b-c'].x", "$.a['b-c'][2]", "$.a['b-c'][-3]"] {
            assert_eq!(select(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for (query, expected) in [
            ("", JsonPathError::NoRoot),
            ("token", JsonPathError::NoRoot),
            (".token", JsonPathError::NoRoot),
            ("$token", JsonPathError::Segment),
            ("$.", JsonPathError::Segment),
            ("$..token", JsonPathError::Segment),
            ("$.*", JsonPathError::Segment),
            ("$.1", JsonPathError::Segment),
            ("$.id-token", JsonPathError::Segment),
            ("$[*]", JsonPathError::Segment),
            ("$[token]", JsonPathError::Segment),
            ("$[?@.a]", JsonPathError::Segment),
            ("$['a','b']", JsonPathError::Segment),
            ("$['a'", JsonPathError::Segment),
            ("$[0", JsonPathError::Segment),
            ("$[", JsonPathError::Segment),
            ("$[0:1]", JsonPathError::Index),
            ("$[-]", JsonPathError::Index),
            ("$[99999999999999999999]", JsonPathError::Index),
            ("$['a", JsonPathError::Quoted),
            (r"$['\n']", JsonPathError::Quoted),
        ] {
            assert_eq!(JsonPath::parse(query), Err(expected), "{query}");
        }
    }
}
