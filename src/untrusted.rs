//! Makes text from outside (names of files, messages of servers, values of a configuration) safe to print: on one line, of
//! limited length, and without characters that move a terminal's cursor or change the direction of text. Depends on nothing.

use std::borrow::Cow;

/// The maximum number of characters that [`escape`] keeps.
pub const MAX_CHARS: usize = 400;

/// Returns the text as it may be printed within a line: a character that is not [printable](is_printable) is written as an
/// escape such as `\n` or `\u{202e}`, and a text that is too long is cut.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MAX_CHARS) {
        None => escape_uncut(text),
        Some((end, _)) => Cow::Owned(format!("{}…", escape_uncut(&text[..end]))),
    }
}

/// Like [`escape`], but does not cut the text. For text of the program that contains text from outside.
#[must_use]
pub fn escape_uncut(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_printable) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            _ if is_printable(character) => escaped.push(character),
            '\t' | '\n' | '\r' => escaped.extend(character.escape_default()),
            _ => escaped.extend(character.escape_unicode()),
        }
    }
    Cow::Owned(escaped)
}

/// Returns whether a character takes its place within a line and has no other effect.
#[must_use]
pub fn is_printable(character: char) -> bool {
    let is_invisible = matches!(
        character,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    );
    !character.is_control() && !is_invisible
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_is_unchanged() {
        for text in ["", "/etc/tbot.yaml", "Zürich 時間 \u{1f600}", "C:\\tbot.yaml"] {
            assert!(matches!(escape(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn escaped_text_stays_on_one_line_and_has_no_effect_on_a_terminal() {
        let text = "a\n::error::b\r\u{1b}[2J\u{9b}1m\u{202e}\u{2028}\u{feff}\t";
        let escaped = escape(text);
        assert!(escaped.chars().all(is_printable), "{escaped}");
        assert_eq!(escaped, "a\\n::error::b\\r\\u{1b}[2J\\u{9b}1m\\u{202e}\\u{2028}\\u{feff}\\t");
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(escape(&"é".repeat(MAX_CHARS)).chars().count(), MAX_CHARS);
        let cut = escape(&"é".repeat(1_000_000)).into_owned();
        assert_eq!((cut.chars().count(), cut.chars().last()), (MAX_CHARS + 1, Some('…')));
    }
}
