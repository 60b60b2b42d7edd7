//! Whatever a file or a server says, the agent goes on: an answer or an error that names what was wrong, never a panic, never
//! a secret. Tests only; what they begin with was recorded, and is then spoilt at random.

mod files;
mod servers;
mod workloads;

use proptest::prelude::*;
use proptest::sample::Index;

use crate::agent::recordings::recorded;

/// So many cases of each property: all of them together take a second or two.
pub(super) const CASES: u32 = 200;

/// One way to spoil a text.
#[derive(Clone, Debug)]
pub(super) enum Damage {
    CutOff(Index),
    Change(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, Index),
    Repeat(Index, Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    prop_oneof![
        1 => at().prop_map(Damage::CutOff),
        4 => (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Change(at, byte)),
        2 => (at(), prop::collection::vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        2 => (at(), at()).prop_map(|(from, to)| Damage::Remove(from, to)),
        1 => (at(), at()).prop_map(|(from, to)| Damage::Repeat(from, to)),
    ]
}

pub(super) fn damages() -> impl Strategy<Value = Vec<Damage>> {
    prop::collection::vec(damage(), 1..4)
}

/// A text after all that has happened to it.
pub(super) fn spoilt(whole: &[u8], damages: &[Damage]) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    for damage in damages {
        let at = |index: &Index| index.index(bytes.len() + 1);
        let range = |from: &Index, to: &Index| at(from).min(at(to))..at(from).max(at(to));
        match damage {
            Damage::CutOff(end) => bytes.truncate(at(end)),
            Damage::Change(place, byte) => {
                let place = at(place);
                if let Some(old) = bytes.get_mut(place) {
                    *old = *byte;
                }
            }
            Damage::Insert(place, new) => {
                let place = at(place);
                bytes.splice(place..place, new.iter().copied());
            }
            Damage::Remove(from, to) => {
                bytes.drain(range(from, to));
            }
            Damage::Repeat(from, to) => {
                let range = range(from, to);
                let again = bytes[range.clone()].to_vec();
                bytes.splice(range.end..range.end, again);
            }
        }
    }
    bytes
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An error says something, on one line, and nothing of the recorded keys.
fn assert_telling(error: &dyn std::error::Error) -> Result<(), TestCaseError> {
    for said in [error.to_string(), format!("{error:?}")] {
        prop_assert!(!said.is_empty());
        prop_assert!(!said.contains("PRIVATE KEY-----"), "{said}");
        for key in ["storage/key", "outputs/identity/key", "outputs/kube/key"].map(recorded) {
            let lines = key.lines().filter(|line| !line.starts_with('-'));
            for part in lines.flat_map(|line| line.as_bytes().chunks_exact(8)) {
                prop_assert!(!said.contains(&lossy(part)), "{said}");
            }
        }
    }
    prop_assert!(!error.to_string().contains('\n'), "{error}");
    Ok(())
}
