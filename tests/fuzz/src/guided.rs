//! Executes a test with inputs that libFuzzer chooses by the code that they reach, in builds of `cargo xtask fuzz`.

use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;

use crate::executions::PrintOnPanic;

/// Gives `inputs` to libFuzzer, which calls `test` with them and with what it makes of them, and then ends the process.
///
/// # Panics
///
/// Panics if `TBOT_FUZZ_INPUTS` is not a directory that can be written to.
#[expect(clippy::disallowed_methods, reason = "a setting of the test run")]
pub(crate) fn run<O: Hash>(inputs: &[Vec<u8>], test: impl Fn(&[u8]) -> O) {
    let directory = std::env::var_os("TBOT_FUZZ_INPUTS").map(PathBuf::from);
    let directory = directory.unwrap_or_else(|| panic!("no directory; run `cargo xtask fuzz`"));
    for (number, input) in inputs.iter().enumerate() {
        let path = directory.join(format!("saved-{number}"));
        std::fs::write(&path, input).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    let test = AssertUnwindSafe(test);
    bolero::check!().for_each(move |input: &[u8]| {
        let print = PrintOnPanic(input);
        test(print.0);
    });
}
