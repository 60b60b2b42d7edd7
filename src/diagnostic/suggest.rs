//! Suggests a known name for a mistyped one. Depends on strsim.

use std::borrow::Cow;

/// Returns the candidate closest to `word`, if one is close enough to be a likely correction. Of equally close candidates,
/// the first one wins.
///
/// Ignores case, and treats `-` like `_`. Beyond that, a word of three to five letters may differ by one edit (a missing,
/// extra, wrong or swapped letter), plus one edit for every three further letters.
#[must_use]
pub fn suggest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    // A longer word is not a mistyped name, and comparing it would take quadratic time.
    const MAX_LENGTH: usize = 64;
    if word.len() > MAX_LENGTH {
        return None;
    }
    let folded = fold(word);
    let length = folded.chars().count();
    let allowed = if length < 3 { 0 } else { 1 + length.saturating_sub(3) / 3 };
    candidates
        .into_iter()
        // Each letter more or less is an edit.
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= allowed)
        .map(|candidate| (strsim::damerau_levenshtein(&folded, &fold(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *candidate != word)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn fold(word: &str) -> Cow<'_, str> {
    if word.contains(|letter: char| letter == '-' || letter.is_ascii_uppercase()) {
        Cow::Owned(word.replace('-', "_").to_ascii_lowercase())
    } else {
        Cow::Borrowed(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 6] =
        ["token", "join_method", "renewal_interval", "ca_pins", "ca_path", "kubernetes/v2"];

    #[test]
    fn a_mistyped_name_is_corrected() {
        for (word, expected) in [
            ("tokn", "token"),
            ("Token", "token"),
            ("tkoen", "token"),
            ("join-method", "join_method"),
            ("joinMethod", "join_method"),
            ("renewal_intervall", "renewal_interval"),
            ("ca_pin", "ca_pins"),
            ("kubernetes-v2", "kubernetes/v2"),
        ] {
            assert_eq!(suggest(word, NAMES), Some(expected), "{word}");
        }
    }

    #[test]
    fn a_different_word_has_no_suggestion() {
        for word in ["", "x", "to", "password", "destination", "token_of_the_bot"] {
            assert_eq!(suggest(word, NAMES), None, "{word}");
        }
        assert_eq!(suggest(&"token".repeat(1000), NAMES), None);
    }
}
