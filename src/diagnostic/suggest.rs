//! Suggests a known name for a mistyped one. Depends on strsim.

use std::borrow::Cow;

use crate::yaml::steps;

/// Returns the candidate closest to `word`, if one is close enough to be a likely correction. Of equally close candidates,
/// the first one wins.
///
/// Ignores case, and treats `-` like `_`. Beyond that, a word of three to five letters may differ by one edit (a missing,
/// extra, wrong or swapped letter), plus one edit for every three further letters. Words that both names have at the start or
/// at the end do not count: `workload-identity-svid` is not a misspelling of `workload-identity-api`.
#[must_use]
pub fn suggest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    // A longer word is not a mistyped name, and comparing it would take quadratic time.
    const MAX_LENGTH: usize = 64;
    if word.len() > MAX_LENGTH {
        return None;
    }
    let folded = fold(word);
    let length = folded.chars().count();
    let allowed = allowed_edits(length);
    candidates
        .into_iter()
        // Each letter more or less is an edit.
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= allowed)
        .inspect(|candidate| steps::count(length + candidate.len()))
        .map(|candidate| (strsim::damerau_levenshtein(&folded, &fold(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *candidate != word)
        .filter(|(distance, candidate)| *distance <= allowed_edits_of_part(&folded, &fold(candidate)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Returns how many edits a name of this length may need to be a misspelling.
const fn allowed_edits(length: usize) -> usize {
    if length < 3 { 0 } else { length / 3 }
}

/// Returns how many edits the part of a name may need in which it differs from a candidate: what is between the words at the
/// start and at the end that both have in common. A single edit is always allowed.
fn allowed_edits_of_part(name: &str, candidate: &str) -> usize {
    let (mut name, mut candidate) = (Vec::from_iter(name.split('_')), Vec::from_iter(candidate.split('_')));
    for _ in 0..2 {
        while !name.is_empty() && name.last() == candidate.last() {
            name.pop();
            candidate.pop();
        }
        name.reverse();
        candidate.reverse();
    }
    allowed_edits(name.join("_").chars().count()).max(1)
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

    const NAMES: [&str; 10] = [
        "token",
        "join_method",
        "renewal_interval",
        "ca_pins",
        "ca_path",
        "kubernetes/v2",
        "workload-identity-x509",
        "workload-identity-jwt",
        "workload-identity-api",
        "registration_secret_path",
    ];

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
            ("workload-identty-x509", "workload-identity-x509"),
            ("workload-identity-x59", "workload-identity-x509"),
            ("wrkload-identity-jwtt", "workload-identity-jwt"),
            ("worklod-idntity-api", "workload-identity-api"),
            ("ac_pins", "ca_pins"),
        ] {
            assert_eq!(suggest(word, NAMES), Some(expected), "{word}");
        }
    }

    #[test]
    fn a_name_with_another_part_has_no_suggestion() {
        for word in [
            "workload-identity-svid",
            "workload-identity-ssh",
            "workload-identity-",
            "spiffe-identity-jwt",
            "join_token",
            "renewal_timeout",
            "registration_secret_value",
            "public_secret_path",
        ] {
            assert_eq!(suggest(word, NAMES), None, "{word}");
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
