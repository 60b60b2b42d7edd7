//! The `distinctId` of an event: random, so that it says nothing about the machine, the user or another event.

/// Returns 16 bytes from the operating system's random number generator, except that 6 bits are those of every UUID v4.
pub(crate) fn random_bytes() -> [u8; 16] {
    uuid::Uuid::new_v4().into_bytes()
}

/// Returns the UUID v4, in hyphenated form, whose free bits are those of the random bytes.
pub(crate) fn distinct_id(random: [u8; 16]) -> String {
    uuid::Builder::from_random_bytes(random).into_uuid().to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn an_id_consists_of_the_random_bytes_and_nothing_else() {
        assert_eq!(distinct_id([0; 16]), "00000000-0000-4000-8000-000000000000");
        assert_eq!(distinct_id([0xFF; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        let counted = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
        assert_eq!(distinct_id(counted), "00010203-0405-4607-8809-0a0b0c0d0e0f");
    }

    #[test]
    fn a_million_ids_are_all_different() {
        let mut ids = HashSet::with_capacity(1_000_000);
        for _ in 0..1_000_000 {
            let id = distinct_id(random_bytes());
            assert!(ids.insert(uuid::Uuid::try_parse(&id).unwrap().as_u128()));
        }
    }
}
