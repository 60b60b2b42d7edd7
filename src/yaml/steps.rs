//! Counts the steps of loading and reporting a configuration, in tests only, so that a test can compare inputs of different
//! sizes without measuring time. Depends on nothing.

/// Counts steps: nodes read, names compared, characters examined or shown. Does nothing outside of tests.
pub fn count(steps: usize) {
    #[cfg(any(test, feature = "count-steps"))]
    COUNTED.set(COUNTED.get() + steps);
    #[cfg(not(any(test, feature = "count-steps")))]
    let _ = steps;
}

#[cfg(any(test, feature = "count-steps"))]
thread_local! {
    static COUNTED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Returns the number of steps of a function.
#[cfg(any(test, feature = "count-steps"))]
pub fn of(function: impl FnOnce()) -> usize {
    let before = COUNTED.get();
    function();
    COUNTED.get() - before
}
