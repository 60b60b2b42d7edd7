//! Calls a test with many inputs: those of a saved corpus, and mutations of them.
//!
//! In a plain test run, the inputs are mutated at random. A mutated input whose outcome is new, according to what the test
//! returns, is mutated further. In builds of `cargo xtask fuzz`, libFuzzer mutates the inputs, and keeps those that reach new code.

mod corpus;
mod executions;
mod growth;
#[cfg(fuzzing)]
mod guided;
mod mutation;

use std::hash::Hash;
use std::path::Path;

pub use growth::{FAMILIES, Family};

/// The maximum size of an input in bytes.
pub const MAX_INPUT: usize = 64 << 10;

/// Calls `test` with the inputs of the corpus `name`, with `seeds`, and with mutations of both. `test` panics if something is
/// wrong, and returns a description of the outcome: inputs with equal outcomes count as alike.
///
/// The environment variable `TBOT_TEST_EXECUTIONS` sets the number of mutations, and `TBOT_TEST_SEED` selects other mutations.
/// In builds of `cargo xtask fuzz`, this function does not return: libFuzzer ends the process.
pub fn fuzz<O: Hash>(name: &str, seeds: impl IntoIterator<Item = Vec<u8>>, test: impl Fn(&[u8]) -> O) {
    let inputs: Vec<Vec<u8>> = corpus::read(name).into_iter().chain(seeds).collect();
    #[cfg(fuzzing)]
    guided::run(&inputs, &test);
    executions::run(inputs, test);
}

/// Returns the contents of all files under `directory` with this extension, as seeds.
///
/// # Panics
///
/// Panics if a directory or a file cannot be read.
pub fn files(directory: &Path, extension: &str) -> Vec<Vec<u8>> {
    let mut contents = Vec::new();
    let entries = directory.read_dir().unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    // In the same order everywhere.
    paths.sort();
    for path in paths {
        if path.is_dir() {
            contents.extend(files(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            contents.push(std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())));
        }
    }
    contents
}
