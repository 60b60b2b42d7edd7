//! The closest of the right words for a wrong one. Depends on strsim.

use std::borrow::Cow;

/// The candidate closest to `word`, if one is close enough to be what was meant. The first of equally close ones is taken.
///
/// Case, and `-` for `_`, make no difference; beyond that, one edit (a missing, additional or wrong letter, or two swapped
/// ones) is allowed in a word of up to five letters, and one more for every three further letters.
#[must_use]
pub fn suggest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    // A name is short. What is longer is no mistyped name, and would cost quadratic time.
    const LONGEST: usize = 64;
    if word.len() > LONGEST {
        return None;
    }
    let wanted = fold(word);
    let length = wanted.chars().count();
    let allowed = if length < 3 { 0 } else { 1 + length.saturating_sub(3) / 3 };
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&wanted, &fold(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *candidate != word)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn fold(word: &str) -> Cow<'_, str> {
    if word.contains(|found: char| found == '-' || found.is_ascii_uppercase()) {
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
    fn a_slip_finds_its_word() {
        for (word, meant) in [
            ("tokn", "token"),
            ("Token", "token"),
            ("tkoen", "token"),
            ("join-method", "join_method"),
            ("joinMethod", "join_method"),
            ("renewal_intervall", "renewal_interval"),
            ("ca_pin", "ca_pins"),
            ("kubernetes-v2", "kubernetes/v2"),
        ] {
            assert_eq!(suggest(word, NAMES), Some(meant), "{word}");
        }
    }

    #[test]
    fn another_word_finds_nothing() {
        for word in ["", "x", "to", "password", "destination", "token_of_the_bot"] {
            assert_eq!(suggest(word, NAMES), None, "{word}");
        }
        assert_eq!(suggest(&"token".repeat(1000), NAMES), None);
    }
}
