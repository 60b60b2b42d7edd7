//! Random numbers for jitter, passed in as an argument.

use std::fmt;
use std::sync::Arc;

/// A source of random numbers for jitter, uniformly distributed from 0.0 to 1.0. Never used for secrets.
#[derive(Clone)]
pub struct Randomness(Arc<dyn Fn() -> f64 + Send + Sync>);

impl Randomness {
    /// Returns the system's random generator. If it fails, it returns 0.5.
    #[must_use]
    pub fn system() -> Self {
        Self(Arc::new(|| getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX))))
    }

    /// Returns a source that calls `next` for each number and clamps it to 0.0 to 1.0. NaN becomes 0.5.
    #[must_use]
    pub fn from_fn(next: impl Fn() -> f64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(next))
    }

    pub(crate) fn next(&self) -> f64 {
        let number = (self.0)();
        if number.is_nan() { 0.5 } else { number.clamp(0.0, 1.0) }
    }
}

impl fmt::Debug for Randomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Randomness")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_from_0_to_1() {
        let numbers = [-1.0, 0.25, 2.0, f64::INFINITY, f64::NAN];
        assert_eq!(
            numbers.map(|number| Randomness::from_fn(move || number).next()),
            [0.0, 0.25, 1.0, 1.0, 0.5]
        );
    }
}
