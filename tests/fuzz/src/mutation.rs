//! Random changes of an input.

use std::ops::Range;

use crate::MAX_INPUT;

/// A random number generator (SplitMix64): small, and the same on every platform.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `limit`, or 0 if `limit` is 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit.max(1)).unwrap_or(u64::MAX);
        usize::try_from(self.next() % limit).unwrap_or(0)
    }

    fn range(&mut self, length: usize) -> Range<usize> {
        let (from, to) = (self.below(length + 1), self.below(length + 1));
        from.min(to)..from.max(to)
    }

    /// Returns a range that is most likely short.
    fn short_range(&mut self, length: usize) -> Range<usize> {
        let start = self.below(length + 1);
        let most = 1 << self.below(7);
        start..length.min(start + 1 + self.below(most))
    }
}

/// Bytes that have a meaning in one of the formats.
const SPECIAL: &[u8] = b"\n\r\t :-,#'\"{}[]&*!|>?%@`~<=/\\.0129aAeE+_$\x00\x7f\x80\xc3\xff";

/// Returns `input` after one to five random changes. `other` is another input, parts of which are inserted.
pub(crate) fn mutate(input: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=random.below(5) {
        let at = random.below(bytes.len() + 1);
        match random.below(10) {
            0 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            1 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = SPECIAL[random.below(SPECIAL.len())];
                }
            }
            2 => bytes.insert(at, SPECIAL[random.below(SPECIAL.len())]),
            3 => drop(bytes.splice(at..at, random.next().to_le_bytes())),
            4 => drop(bytes.drain(random.short_range(bytes.len()))),
            5 => drop(bytes.drain(random.range(bytes.len()))),
            6 => {
                let part = bytes[random.short_range(bytes.len())].to_vec();
                let times = 1 << random.below(8);
                bytes.splice(at..at, part.repeat(times));
            }
            7 => drop(bytes.splice(at..at, other[random.short_range(other.len())].iter().copied())),
            8 => drop(bytes.splice(at..at, other[random.range(other.len())].iter().copied())),
            _ => {
                let part = bytes[random.short_range(bytes.len())].to_vec();
                let target = random.short_range(bytes.len());
                bytes.splice(target, part);
            }
        }
        bytes.truncate(MAX_INPUT);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mutations_of_nothing_and_of_the_longest_input_are_inputs() {
        let (empty, longest) = (Vec::new(), vec![b'a'; MAX_INPUT]);
        let mut random = Random(1);
        for _ in 0..2_000 {
            for (input, other) in [(&empty, &empty), (&empty, &longest), (&longest, &longest)] {
                assert!(mutate(input, other, &mut random).len() <= MAX_INPUT);
            }
        }
    }
}
