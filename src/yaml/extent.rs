//! Finds where a node starts and ends in the text, because the spans of saphyr-parser's events are not always exact. Pure;
//! all positions are in bytes.

/// Returns the start of the content after anchor and tag, at most `end`.
pub(super) fn skip_properties(text: &str, start: usize, end: usize) -> usize {
    let text = &text[..end];
    let mut at = skip_blank(text, start);
    while text[at..].starts_with(['&', '!']) {
        at += text[at..].find(is_property_end).unwrap_or(text.len() - at);
        at = skip_blank(text, at);
    }
    at
}

/// Returns the end of the list or map that the innermost bracket opened. `last` is the end of the last non-empty token.
/// `end` is the end of the event, which can be too early.
pub(super) fn end_of_brackets(text: &str, last: usize, end: usize) -> usize {
    let mut at = skip_blank(text, last);
    if text[at..].starts_with(',') {
        at = skip_blank(text, at + 1);
    }
    if text[at..].starts_with([']', '}']) { at + 1 } else { end }
}

/// Returns the position of an omitted value: after the last indicator between `last`, the end of the last non-empty token,
/// and `limit`.
pub(super) fn skip_indicators(text: &str, last: usize, limit: usize) -> usize {
    let mut found = last;
    let mut at = skip_blank(text, found);
    // At the limit itself, only a `:` belongs to this value: a `-` there starts the next item.
    while at < limit && text[at..].starts_with(['-', '?']) || at <= limit && text[at..].starts_with(':') {
        found = at + 1;
        at = skip_blank(text, found);
    }
    found
}

/// Returns the length of the scalar at the start of `text`. The event of a quoted scalar includes the comment after it.
pub(super) fn scalar_length(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1).peekable();
    match text.chars().next() {
        Some('"') => {
            while let Some((at, found)) = chars.next() {
                match found {
                    '"' => return at + 1,
                    '\\' => drop(chars.next()),
                    _ => {}
                }
            }
        }
        Some('\'') => {
            while let Some((at, found)) = chars.next() {
                if found == '\'' && chars.next_if(|(_, next)| *next == '\'').is_none() {
                    return at + 1;
                }
            }
        }
        _ => {}
    }
    text.trim_end().len()
}

/// Returns the position after white space and comments.
pub(super) fn skip_blank(text: &str, mut at: usize) -> usize {
    loop {
        at = text.len() - text[at..].trim_start_matches([' ', '\t', '\n', '\r']).len();
        if !text[at..].starts_with('#') {
            return at;
        }
        at += text[at..].find(['\n', '\r']).unwrap_or(text.len() - at);
    }
}

pub(super) fn is_property_end(found: char) -> bool {
    matches!(found, ' ' | '\t' | '\n' | '\r' | ',' | '[' | ']' | '{' | '}')
}
