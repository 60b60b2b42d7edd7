//! Overlaps of what the agent writes, for the agent, which must refuse them even if the configuration was not loaded for this
//! process. Depends on the checks.

use std::fmt;

use super::checks;
use super::load_options::ProcessContext;
use super::v2::Config;
use crate::diagnostic::Code;
use crate::pointer::Pointer;

/// A destination or file that the agent would overwrite, or a destination in the storage.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Overlap {
    /// The code with which [`load`](super::load) reports it.
    pub code: Code,
    /// The pointer of the location, such as `/services/0/destination/path`.
    pub pointer: Pointer,
    /// What is wrong, in lower case and without a full stop.
    pub message: String,
    /// What the user can do about it, in the same style.
    pub help: Option<String>,
}

impl Config {
    /// Returns the overlaps that [`load`](super::load) reports as errors if it knows this process. `Agent::new` refuses them.
    pub fn overlaps(&self, process: ProcessContext) -> Vec<Overlap> {
        let found = checks::errors_of_overlaps(self, process).into_iter();
        let overlaps = found.map(|found| Overlap {
            code: found.code,
            pointer: found.target.pointer().cloned().unwrap_or_default(),
            message: found.message,
            help: found.help,
        });
        overlaps.collect()
    }
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at {})", self.message, self.pointer)
    }
}

impl std::error::Error for Overlap {}
