//! Property tests: malformed files and responses lead to an error that says what is wrong, never to a panic, and the
//! error contains no secret.
//!
//! The tests mutate recordings at random.

mod files;
mod fuzz;
mod servers;
mod workloads;

use proptest::prelude::*;
use proptest::sample::Index;

use crate::agent::platform::error_text::error_chain;
use crate::agent::recordings::recorded;

/// The number of cases per property. The tests of all properties together take a second or two.
pub(super) const CASES: u32 = 200;

/// A random change to a sequence of bytes.
#[derive(Clone, Debug)]
pub(super) enum Mutation {
    Truncate(Index),
    Replace(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, Index),
    Repeat(Index, Index),
}

/// Generates one random mutation.
fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    prop_oneof![
        1 => at().prop_map(Mutation::Truncate),
        4 => (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Replace(at, byte)),
        2 => (at(), prop::collection::vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        2 => (at(), at()).prop_map(|(from, to)| Mutation::Remove(from, to)),
        1 => (at(), at()).prop_map(|(from, to)| Mutation::Repeat(from, to)),
    ]
}

/// Generates one to three random mutations.
pub(super) fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    prop::collection::vec(mutation(), 1..4)
}

/// Returns `original` after all mutations.
pub(super) fn mutate(original: &[u8], mutations: &[Mutation]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for mutation in mutations {
        let at = |index: &Index| index.index(bytes.len() + 1);
        let range = |from: &Index, to: &Index| at(from).min(at(to))..at(from).max(at(to));
        match mutation {
            Mutation::Truncate(end) => bytes.truncate(at(end)),
            Mutation::Replace(position, new) => {
                let position = at(position);
                if let Some(byte) = bytes.get_mut(position) {
                    *byte = *new;
                }
            }
            Mutation::Insert(position, new) => {
                let position = at(position);
                bytes.splice(position..position, new.iter().copied());
            }
            Mutation::Remove(from, to) => {
                bytes.drain(range(from, to));
            }
            Mutation::Repeat(from, to) => {
                let range = range(from, to);
                let repeated = bytes[range.clone()].to_vec();
                bytes.splice(range.end..range.end, repeated);
            }
        }
    }
    bytes
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Checks that the message of an error is a single line, and that the error contains no part of the recorded keys.
fn check_error(error: &dyn std::error::Error) -> Result<(), TestCaseError> {
    for message in [error_chain(error), format!("{error:?}")] {
        prop_assert!(!message.is_empty());
        prop_assert!(!message.contains("PRIVATE KEY-----"), "{message}");
        for key in ["storage/key", "outputs/identity/key", "outputs/kube/key"].map(recorded) {
            let lines = key.lines().filter(|line| !line.starts_with('-'));
            for part in lines.flat_map(|line| line.as_bytes().chunks_exact(8)) {
                prop_assert!(!message.contains(&lossy(part)), "{message}");
            }
        }
    }
    prop_assert!(!error_chain(error).contains('\n'), "{error}");
    Ok(())
}
