//! Finds characters that are probably not meant to be part of a string: they are copied from a web page, and look like other
//! characters or are invisible. Letters of other scripts are never reported. Depends on nothing.

use std::fmt;

/// A character that is probably not meant to be part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StrayCharacter {
    pub(super) character: char,
}

/// The character with its code point, such as "a no-break space (U+00A0)".
impl fmt::Display for StrayCharacter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (U+{:04X})", name(self.character), u32::from(self.character))
    }
}

impl StrayCharacter {
    /// Finds the first one in a text.
    pub(super) fn find(text: &str) -> Option<Self> {
        let (first, last) = (text.chars().next()?, text.chars().next_back()?);
        let at_an_end = |character: &char| is_direction_mark(*character) || character.is_ascii_whitespace();
        let found = [first, last].into_iter().find(at_an_end);
        if text.is_ascii() && found.is_none() {
            return None;
        }
        let mark = || quotation_mark(text, first, last);
        let hidden = || text.chars().find(|character| name_of_hidden(*character).is_some());
        let character = found.or_else(mark).or_else(hidden)?;
        Some(Self { character })
    }

    /// Returns what the user can do about it.
    pub(super) fn help(self) -> &'static str {
        match self.character {
            '\n' => "write one line, or `|-` or `>-` instead of `|` or `>`",
            character if is_quotation_mark(character) => "write `\"` or `'`, or no quotation marks",
            _ => "remove it, or type it again",
        }
    }
}

fn name(character: char) -> &'static str {
    match character {
        '\n' => "a line break at one end",
        character if character.is_ascii_whitespace() => "a space at one end",
        character if is_direction_mark(character) => "an invisible mark of the direction of writing",
        character => name_of_hidden(character).unwrap_or("a typographic quotation mark"),
    }
}

fn name_of_hidden(character: char) -> Option<&'static str> {
    match character {
        '\u{a0}' | '\u{202f}' => Some("a no-break space"),
        '\u{200b}' => Some("an invisible space of no width"),
        '\u{2060}' | '\u{feff}' => Some("an invisible character of no width"),
        '\u{ad}' => Some("an invisible hyphen"),
        _ => None,
    }
}

/// Returns whether a character sets the direction of the text around it. Inside of a text, Arabic and Hebrew need it.
const fn is_direction_mark(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns whether word processors replace a `"` or a `'` with this character.
const fn is_quotation_mark(character: char) -> bool {
    matches!(character, '\u{2018}'..='\u{201f}')
}

/// Returns a quotation mark at the beginning, or one at the end that closes nothing. A single one at the end may be an apostrophe.
fn quotation_mark(text: &str, first: char, last: char) -> Option<char> {
    let is_double = |character: char| matches!(character, '\u{201c}'..='\u{201f}');
    let closes_nothing =
        |last: &char| text.chars().filter(|character| is_double(*character)).count() == 1 && is_double(*last);
    Some(first).filter(|first| is_quotation_mark(*first)).or_else(|| Some(last).filter(closes_nothing))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<char> {
        StrayCharacter::find(text).map(|found| found.character)
    }

    #[test]
    fn stray_characters_are_found() {
        for (text, character) in [
            ("“abc”", '“'),
            ("abc”", '”'),
            ("„abc", '„'),
            ("‘abc’", '‘'),
            ("abc\u{200b}", '\u{200b}'),
            ("\u{feff}abc", '\u{feff}'),
            ("a\u{a0}b", '\u{a0}'),
            ("\u{200e}abc", '\u{200e}'),
            ("abc\u{202c}", '\u{202c}'),
            ("abc ", ' '),
            ("\tabc", '\t'),
            ("abc\n", '\n'),
        ] {
            assert_eq!(found(text), Some(character), "{text:?}");
        }
    }

    #[test]
    fn text_in_any_script_is_not_reported() {
        // Persian needs the character of no width in the third text, Hebrew the mark in the fourth, and emoji the last one.
        for text in [
            "",
            "Zürich",
            "می\u{200c}خواهم",
            "א\u{200f}-1",
            "時間",
            "Ключ",
            "it’s",
            "/opt/bots’",
            "/opt/a “b” c",
            "Team „Blau“",
            "two words\nand a line",
            "👩\u{200d}🔧",
        ] {
            assert_eq!(found(text), None, "{text:?}");
        }
    }
}
