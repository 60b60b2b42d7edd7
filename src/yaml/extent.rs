//! Where a node really starts and ends in the text, which saphyr-parser's events do not always say. Pure: a text and places
//! in bytes in, places out.

/// Where the content starts behind anchor and tag, before `end`.
pub(super) fn behind_properties(text: &str, start: usize, end: usize) -> usize {
    let text = &text[..end];
    let mut at = skip_blank(text, start);
    while text[at..].starts_with(['&', '!']) {
        at += text[at..].find(is_property_end).unwrap_or(text.len() - at);
        at = skip_blank(text, at);
    }
    at
}

/// Where the list or map that the innermost bracket opened ends. `last` is behind the last token that is not empty; `end`
/// is what the event says, which can be too early.
pub(super) fn behind_bracket(text: &str, last: usize, end: usize) -> usize {
    let mut at = skip_blank(text, last);
    if text[at..].starts_with(',') {
        at = skip_blank(text, at + 1);
    }
    if text[at..].starts_with([']', '}']) { at + 1 } else { end }
}

/// Where a value that is not written would stand: behind the last indicator between `last`, as above, and `limit`.
pub(super) fn behind_indicator(text: &str, last: usize, limit: usize) -> usize {
    let mut found = last;
    let mut at = skip_blank(text, found);
    // At the limit itself only the `:` is ours: a `-` there starts the next item.
    while at < limit && text[at..].starts_with(['-', '?']) || at <= limit && text[at..].starts_with(':') {
        found = at + 1;
        at = skip_blank(text, found);
    }
    found
}

/// How long the scalar at the start of `text` is. An event of a quoted one ends behind the comment that follows it.
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

/// The anchor's name among the properties in `start..end`, without the `&`.
pub(super) fn anchor_name(text: &str, start: usize, end: usize) -> Option<(usize, usize)> {
    let mut at = skip_blank(text, start);
    while at < end {
        let length = text[at..].find(is_property_end).unwrap_or(text.len() - at);
        if text[at..].starts_with('&') {
            return Some((at + 1, at + length));
        }
        at = skip_blank(text, at + length.max(1));
    }
    None
}

/// Behind white space and comments.
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
