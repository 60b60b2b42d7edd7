//! Executes a test with inputs and mutations of them.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher as _};

use crate::mutation::{Random, mutate};

/// The number of mutations in a plain test run.
const DEFAULT_EXECUTIONS: u64 = 2_000;
/// The maximum number of inputs that are kept to mutate them further.
const MAX_KEPT: usize = 10_000;

#[expect(clippy::disallowed_methods, reason = "a setting of the test run")]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Prints an input if the test panics, as a line for the corpus.
pub(crate) struct PrintOnPanic<'a>(pub(crate) &'a [u8]);

impl Drop for PrintOnPanic<'_> {
    #[expect(clippy::print_stderr, reason = "shown only if the test fails")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the input, as a line of tests/fuzz/corpus:\n{}", self.0.escape_ascii());
        }
    }
}

/// Calls `test` with each input, and then with mutations.
///
/// # Panics
///
/// Panics if there are no inputs.
pub(crate) fn run<O: Hash>(mut inputs: Vec<Vec<u8>>, test: impl Fn(&[u8]) -> O) {
    assert!(!inputs.is_empty(), "no inputs");
    let mut outcomes = HashSet::new();
    let mut is_new = |input: &[u8]| {
        let print = PrintOnPanic(input);
        let mut hasher = DefaultHasher::new();
        test(print.0).hash(&mut hasher);
        outcomes.insert(hasher.finish())
    };
    for input in &inputs {
        is_new(input);
    }
    let mut random = Random(setting("TBOT_TEST_SEED").unwrap_or_default());
    for _ in 0..setting("TBOT_TEST_EXECUTIONS").unwrap_or(DEFAULT_EXECUTIONS) {
        let (input, other) = (random.below(inputs.len()), random.below(inputs.len()));
        let input = mutate(&inputs[input], &inputs[other], &mut random);
        if is_new(&input) && inputs.len() < MAX_KEPT {
            inputs.push(input);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn new_outcomes_lead_further_than_random_changes_alone() {
        let longest = RefCell::new(0);
        run(vec![b"abcdefgh".to_vec()], |input| {
            // Each further character of the word is a new outcome.
            let found = input.iter().zip(b"hgfedcba").take_while(|(a, b)| a == b).count();
            let mut longest = longest.borrow_mut();
            *longest = found.max(*longest);
            found
        });
        assert!(longest.into_inner() >= 4);
    }
}
