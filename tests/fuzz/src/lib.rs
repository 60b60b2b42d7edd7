//! Calls a test with many inputs: those of a saved corpus, and mutations of them.
//!
//! In a plain `cargo test`, the inputs are mutated at random. A mutated input whose outcome is new, according to what the test
//! returns, is mutated further. No coverage of the code is measured. `cargo xtask fuzz` runs the same tests with libFuzzer, which
//! measures it, and adds what it finds to the corpus.

mod corpus;
mod executions;
mod growth;
mod mutation;

use std::hash::Hash;
#[cfg(fuzzing_libfuzzer)]
use std::panic::AssertUnwindSafe;
use std::path::Path;

pub use growth::{FAMILIES, Family};

/// The maximum size of an input in bytes.
pub const MAX_INPUT: usize = 64 << 10;

/// Calls `test` with the inputs of the corpus `name`, with `seeds`, and with mutations of both. `test` panics if something is
/// wrong, and returns what describes the outcome: inputs with equal outcomes count as alike.
///
/// The environment variable `TBOT_TEST_EXECUTIONS` sets the number of mutations, and `TBOT_TEST_SEED` makes them others.
#[cfg(not(fuzzing_libfuzzer))]
pub fn fuzz<O: Hash>(name: &str, seeds: impl IntoIterator<Item = Vec<u8>>, test: impl Fn(&[u8]) -> O) {
    executions::run(corpus::read(name).into_iter().chain(seeds).collect(), test);
}

/// Writes the inputs of the corpus and the seeds where libFuzzer reads them, and runs it. Does not return.
#[cfg(fuzzing_libfuzzer)]
pub fn fuzz<O: Hash>(name: &str, seeds: impl IntoIterator<Item = Vec<u8>>, test: impl Fn(&[u8]) -> O) {
    corpus::write_directory(corpus::read(name).into_iter().chain(seeds));
    let test = AssertUnwindSafe(test);
    bolero::check!().for_each(move |input: &[u8]| {
        let AssertUnwindSafe(test) = &test;
        test(input);
    });
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
