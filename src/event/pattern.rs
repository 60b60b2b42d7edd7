//! Counts the strings that a pattern accepts. Depends only on regex-syntax.

use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

/// Returns an upper bound of how many strings a pattern accepts. `None` if there is no bound: if the pattern is invalid, is
/// not anchored at both ends, or repeats something without a maximum.
pub(super) fn count_accepted(pattern: &str) -> Option<u128> {
    let hir = regex_syntax::parse(pattern).ok()?;
    let properties = hir.properties();
    let is_anchored = properties.look_set_prefix().contains(Look::Start)
        && properties.look_set_suffix().contains(Look::End);
    if is_anchored { count(&hir) } else { None }
}

fn count(hir: &Hir) -> Option<u128> {
    match hir.kind() {
        HirKind::Empty | HirKind::Literal(_) | HirKind::Look(_) => Some(1),
        HirKind::Class(Class::Unicode(class)) => Some(
            class
                .iter()
                .map(|range| u128::from(u32::from(range.end())) - u128::from(u32::from(range.start())) + 1)
                .sum(),
        ),
        HirKind::Class(Class::Bytes(class)) => {
            Some(class.iter().map(|range| u128::from(range.end() - range.start()) + 1).sum())
        }
        HirKind::Repetition(Repetition { min, max, sub, .. }) => {
            let repeated = count(sub)?;
            let sum = |sum: u128, times| sum.saturating_add(repeated.saturating_pow(times));
            Some((*min..=(*max)?).fold(0, sum))
        }
        HirKind::Capture(capture) => count(&capture.sub),
        HirKind::Concat(parts) => {
            parts.iter().try_fold(1, |product: u128, part| Some(product.saturating_mul(count(part)?)))
        }
        HirKind::Alternation(parts) => {
            parts.iter().try_fold(0, |sum: u128, part| Some(sum.saturating_add(count(part)?)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_strings_are_counted() {
        for (pattern, accepted) in [
            ("^a$", 1),
            ("^(a|b|cd)$", 3),
            ("^[0-9]{1,2}$", 110),
            ("^v?[0-9](-(alpha|beta))?$", 60),
            ("^(a|b){0,3}$", 15),
            ("(?-u)^[0-9]$", 10),
        ] {
            assert_eq!(count_accepted(pattern), Some(accepted), "{pattern}");
        }
    }

    #[test]
    fn an_open_pattern_has_no_count() {
        for pattern in ["^.*$", "^[a-z]+$", "^a{2,}$", "a", "^a", "a$", "^a$|b", "(?m)^a$", "("] {
            assert_eq!(count_accepted(pattern), None, "{pattern}");
        }
    }
}
