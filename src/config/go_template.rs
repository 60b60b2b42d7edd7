//! Splits a Go template, as read by Go's package `text/template`, into text and the tokens of its actions. Depends on
//! nothing.

/// A part of a template. Comments are left out, and what trim marks remove is removed from the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Text(&'a str),
    Action(Vec<Token<'a>>),
}

/// A token in an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// The current value: `.`.
    Dot,
    /// Fields of the current value, without the first `.`: `Labels.env`.
    Fields(&'a str),
    /// A variable, without the `$`, and fields of its value, without the first `.`.
    Variable(&'a str, &'a str),
    /// The name of a function, or a keyword.
    Word(&'a str),
    /// A string, a character or a number.
    Constant,
    Open,
    /// A closing parenthesis, with fields of the value in the parentheses.
    Close,
    Pipe,
    Comma,
    /// `:=` or `=`.
    Assign,
}

/// The characters that a trim mark removes.
const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

/// Splits a template.
///
/// # Errors
///
/// Returns what is wrong, without any part of the template.
pub(super) fn split(template: &str) -> Result<Vec<Piece<'_>>, &'static str> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some((text, action)) = rest.split_once("{{") {
        let trimmed = action.strip_prefix('-').filter(|action| action.starts_with(SPACE));
        let text = if trimmed.is_some() { text.trim_end_matches(SPACE) } else { text };
        pieces.push(Piece::Text(text));
        let action = trimmed.map_or(action, |action| action.trim_start_matches(SPACE));
        let after = match action.strip_prefix("/*") {
            Some(comment) => {
                let (_, after) = comment.split_once("*/").ok_or("a comment is not closed by `*/`")?;
                Some(end_of_action(after).ok_or("a comment must be alone between `{{` and `}}`")?)
            }
            None => None,
        };
        rest = match after {
            Some(after) => after,
            None => {
                let (tokens, after) = tokens(action)?;
                pieces.push(Piece::Action(tokens));
                after
            }
        };
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

/// Returns what follows the end of an action, if a text begins with one.
fn end_of_action(text: &str) -> Option<&str> {
    let spaces = text.trim_start_matches(SPACE);
    let trimmed = spaces.strip_prefix("-}}").filter(|_| spaces.len() < text.len());
    trimmed.map(|after| after.trim_start_matches(SPACE)).or_else(|| text.strip_prefix("}}"))
}

/// Reads the tokens of an action, and returns them with what follows the action.
fn tokens(action: &str) -> Result<(Vec<Token<'_>>, &str), &'static str> {
    let mut tokens = Vec::new();
    let mut rest = action;
    loop {
        if let Some(after) = end_of_action(rest) {
            return Ok((tokens, after));
        }
        let Some(first) = rest.chars().next() else { return Err("`{{` is not closed by `}}`") };
        let after = &rest[first.len_utf8()..];
        let token;
        (token, rest) = match first {
            ' ' | '\t' | '\r' | '\n' => {
                rest = after;
                continue;
            }
            '(' => (Token::Open, after),
            ')' => (Token::Close, fields(after).1),
            '|' => (Token::Pipe, after),
            ',' => (Token::Comma, after),
            '=' => (Token::Assign, after),
            ':' => (Token::Assign, after.strip_prefix('=').ok_or("unexpected `:`")?),
            '"' | '\'' | '`' => (Token::Constant, after_quotes(first, after)?),
            '$' => {
                let (name, after) = word(after);
                let (fields, after) = fields(after);
                (Token::Variable(name, fields), after)
            }
            '.' if !after.starts_with(|next: char| next.is_ascii_digit()) => match fields(rest) {
                ("", _) => (Token::Dot, after),
                (fields, after) => (Token::Fields(fields), after),
            },
            '+' | '-' if !after.trim_start_matches('.').starts_with(|next: char| next.is_ascii_digit()) => {
                return Err("a sign must be before a number; a trim mark needs a space");
            }
            '.' | '+' | '-' | '0'..='9' => {
                let is_part = |found: char| found.is_ascii_alphanumeric() || "._+-".contains(found);
                let after = after.trim_start_matches(is_part);
                (Token::Constant, after)
            }
            _ => match word(rest) {
                ("", _) => return Err("unexpected character between `{{` and `}}`"),
                (word, after) => (Token::Word(word), after),
            },
        };
        tokens.push(token);
    }
}

/// Splits a text after the letters, digits and underscores with which it begins.
fn word(text: &str) -> (&str, &str) {
    let is_part = |found: char| found.is_alphanumeric() || found == '_';
    text.split_at(text.find(|found| !is_part(found)).unwrap_or(text.len()))
}

/// Splits a text after the names of fields with which it begins, each with a `.` before it. Returns them without the first `.`.
fn fields(text: &str) -> (&str, &str) {
    let mut rest = text;
    while let Some(name) = rest.strip_prefix('.').map(word).filter(|(name, _)| !name.is_empty()) {
        rest = name.1;
    }
    let fields = &text[..text.len() - rest.len()];
    (fields.strip_prefix('.').unwrap_or(fields), rest)
}

/// Returns what follows the closing quote.
fn after_quotes(quote: char, text: &str) -> Result<&str, &'static str> {
    let mut characters = text.char_indices();
    while let Some((at, found)) = characters.next() {
        match found {
            '\\' if quote != '`' => drop(characters.next()),
            '\n' if quote != '`' => break,
            _ if found == quote => return Ok(&text[at + quote.len_utf8()..]),
            _ => {}
        }
    }
    Err("a string between `{{` and `}}` is not closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trim_marks_and_comments_are_removed() {
        use Piece::{Action, Text};
        let kube = || Action(vec![Token::Fields("KubeName")]);
        assert_eq!(split("a - {{- .KubeName -}} \n b"), Ok(vec![Text("a -"), kube(), Text("b")]));
        assert_eq!(split("{{- /* }} */ -}} a{{/* b */}}"), Ok(vec![Text(""), Text("a"), Text("")]));
        assert_eq!(split("{{.KubeName}} }}"), Ok(vec![Text(""), kube(), Text(" }}")]));
    }

    #[test]
    fn an_action_is_split_into_tokens() {
        let tokens = |template| match split(template).unwrap().swap_remove(1) {
            Piece::Action(tokens) => tokens,
            Piece::Text(text) => panic!("{text}"),
        };
        use Token::{Assign, Close, Comma, Constant, Dot, Fields, Open, Pipe, Variable, Word};
        assert_eq!(
            tokens(r#"{{ range $i, $e := (index .Labels "a}}\"").b | f $.C -1 .5 'x' `\` . }}"#),
            [
                Word("range"),
                Variable("i", ""),
                Comma,
                Variable("e", ""),
                Assign,
                Open,
                Word("index"),
                Fields("Labels"),
                Constant,
                Close,
                Pipe,
                Word("f"),
                Variable("", "C"),
                Constant,
                Constant,
                Constant,
                Constant,
                Dot,
            ]
        );
        assert_eq!(tokens("{{-3}}"), [Constant]);
    }

    #[test]
    fn a_malformed_action_is_an_error() {
        for template in [
            "{{.A",
            "{{ \"a }}",
            "{{ \"a\n\" }}",
            "{{/* a }}",
            "{{/* a */ .B}}",
            "{{ ; }}",
            "{{ : }}",
            "{{-.A}}",
        ] {
            assert!(split(template).is_err(), "{template}");
        }
    }
}
