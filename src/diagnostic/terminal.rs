//! Makes the program's own messages safe for a terminal, and estimates the width of text. Depends on `untrusted`.

use std::borrow::Cow;

use crate::untrusted::is_printable;

/// Replaces characters that could move a terminal's cursor or change the text direction. Keeps line feeds.
pub(super) fn sanitize(text: &str) -> Cow<'_, str> {
    let keep = |character: char| if character == '\n' { character } else { printable(character) };
    if text.chars().all(|character| keep(character) == character) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.chars().map(keep).collect())
    }
}

/// Returns the character, or a replacement character if it could move the cursor or change the text direction.
pub(super) fn printable(character: char) -> char {
    if is_printable(character) { character } else { '\u{fffd}' }
}

/// Returns the approximate number of columns that a character takes. Only the underlines depend on it, so only the large
/// Unicode blocks are distinguished.
pub(super) fn columns_of(character: char) -> usize {
    match u32::from(character) {
        0x300..=0x36f => 0,
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff => 2,
        0xfe30..=0xfe6f | 0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1faff | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}
