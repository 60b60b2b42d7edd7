//! Finds characters in values that come with text copied from a page, and that look like others or like nothing. Characters of other
//! scripts are never reported.

use super::findings::Findings;
use crate::config::strings::ConfigString;
use crate::diagnostic::Code;

/// Opening and closing quotation marks that programs for writing texts make of `"` and `'`.
const QUOTATION_MARKS: [char; 8] =
    ['\u{201c}', '\u{201d}', '\u{201e}', '\u{201f}', '\u{2018}', '\u{2019}', '\u{201a}', '\u{201b}'];

pub(super) fn check(string: &ConfigString<'_>, findings: &mut Findings<'_>) {
    let Some((character, what)) = pasted_character(string.as_str()) else { return };
    let pointer = string.pointer();
    // Without a class, nothing is known about the meaning of the value.
    if string.class(&pointer).is_none() {
        return;
    }
    let message =
        format!("the value contains {what} (U+{:04X}), which is used literally", u32::from(character));
    findings.report_value(Code::PastedCharacter, pointer, message, help(character));
}

/// Returns the first such character, and what it is. A quotation mark counts only at the beginning or the end.
fn pasted_character(text: &str) -> Option<(char, &'static str)> {
    if text.is_ascii() {
        return None;
    }
    let is_quotation_mark = |character: &char| QUOTATION_MARKS.contains(character);
    let mark =
        text.chars().next().filter(is_quotation_mark).or(text.chars().next_back().filter(is_quotation_mark));
    let hidden =
        || text.chars().find_map(|character| name_of_hidden(character).map(|name| (character, name)));
    mark.map(|mark| (mark, "a typographic quotation mark")).or_else(hidden)
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

fn help(character: char) -> &'static str {
    if QUOTATION_MARKS.contains(&character) {
        "write `\"` or `'`, or no quotation marks"
    } else {
        "remove it, or type it again"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<char> {
        pasted_character(text).map(|(character, _)| character)
    }

    #[test]
    fn pasted_characters_are_found() {
        for (text, character) in [
            ("“abc”", '“'),
            ("abc”", '”'),
            ("‘abc’", '‘'),
            ("abc\u{200b}", '\u{200b}'),
            ("\u{feff}abc", '\u{feff}'),
            ("a\u{a0}b", '\u{a0}'),
        ] {
            assert_eq!(found(text), Some(character), "{text}");
        }
    }

    #[test]
    fn text_in_any_script_is_not_reported() {
        // The second one contains a character of no width that Persian needs, and the last one that which joins emoji.
        for text in ["Zürich", "می\u{200c}خواهم", "時間", "Ключ", "it’s", "/opt/a “b” c", "👩\u{200d}🔧"]
        {
            assert_eq!(found(text), None, "{text}");
        }
    }
}
