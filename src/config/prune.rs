//! Removes the invalid parts of a configuration, so that the rest can still be checked. Depends on `provenance`.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::Value;

use super::provenance::{Origin, Origins};
use crate::diagnostic::Target;
use crate::pointer::Pointer;

/// Lists from which an entry with an invalid part is removed as a whole.
const LISTS: [&str; 3] = ["services", "outputs", "destinations"];

/// Removes the invalid parts of a value, and as little else as possible.
///
/// An unknown key is removed alone. An invalid value within `storage` or an entry of a list in [`LISTS`] is removed with
/// the whole `storage` or entry. Any other invalid value is removed alone. Pointers that change are recorded in `origins`.
pub(super) fn remove_invalid(value: &mut Value, invalid: &[Target], origins: &mut Origins) {
    let mut entries: Vec<(String, usize)> = Vec::new();
    for target in invalid {
        let pointer = match target {
            Target::Key(pointer) => {
                remove(value, pointer);
                continue;
            }
            Target::Value(pointer) => pointer,
            _ => continue,
        };
        let tokens: Vec<String> = pointer.tokens().map(Cow::into_owned).collect();
        match tokens.as_slice() {
            [list, index, ..] if LISTS.contains(&list.as_str()) => {
                if let Ok(index) = index.parse() {
                    entries.push((list.clone(), index));
                }
            }
            [storage, ..] if storage == "storage" => remove(value, &Pointer::root().key("storage")),
            _ => remove(value, pointer),
        }
    }
    for list in LISTS {
        let removed: BTreeSet<usize> =
            entries.iter().filter(|(name, _)| name == list).map(|(_, index)| *index).collect();
        if !removed.is_empty() {
            remove_entries(value, list, &removed, origins);
        }
    }
}

fn remove_entries(value: &mut Value, list: &str, removed: &BTreeSet<usize>, origins: &mut Origins) {
    let Some(Value::Array(items)) = value.get_mut(list) else { return };
    let list = Pointer::root().key(list);
    let mut kept = Vec::with_capacity(items.len());
    for (index, item) in std::mem::take(items).into_iter().enumerate() {
        let old = list.index(index);
        if removed.contains(&index) {
            origins.forget_overrides(&old);
            continue;
        }
        let new = list.index(kept.len());
        if new != old {
            if let Origin::File(old) = origins.of(&old) {
                origins.moved.push((new.clone(), old));
            }
            origins.move_overrides(&old, &new);
        }
        kept.push(item);
    }
    *items = kept;
}

/// Removes the value at a pointer. Removing an item of a list removes the whole list, so that pointers to the other
/// items never become wrong.
fn remove(value: &mut Value, pointer: &Pointer) {
    let (Some(parent), Some(last)) = (pointer.parent(), pointer.last()) else { return };
    match value.pointer_mut(parent.as_str()) {
        Some(Value::Object(map)) => {
            map.shift_remove(last.as_ref());
        }
        Some(Value::Array(_)) => remove(value, &parent),
        _ => {}
    }
}
