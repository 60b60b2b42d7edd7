//! The `distinctId` of an event: random, so that it says nothing about the machine, the user or another event.

/// Returns a new UUID v4 in hyphenated form, whose free bits all come from the operating system's random number generator.
pub(crate) fn new_distinct_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_million_ids_are_all_different() {
        let mut ids = HashSet::with_capacity(1_000_000);
        for _ in 0..1_000_000 {
            assert!(ids.insert(uuid::Uuid::try_parse(&new_distinct_id()).unwrap().as_u128()));
        }
    }
}
