//! Tests everything that the agent needs after a join, before a join that uses up its token: if one of these tests failed
//! afterwards, the operator would have to create another token.

use std::sync::Arc;

use crate::agent::destination::writer::{DestinationError, DestinationWriter};
use crate::agent::platform::Hint;
use crate::agent::platform::tasks::UninterruptibleWork;

/// The destination of an output cannot be used: its configuration is not supported, or it cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("the destination of output {output} cannot be used")]
#[non_exhaustive]
pub struct OutputDestinationError {
    /// The name of the output.
    pub output: String,
    /// The problem.
    #[source]
    pub error: DestinationError,
}

impl OutputDestinationError {
    /// Returns advice for the operator, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        self.error.hint()
    }
}

/// The destination of an output, with the output's name.
#[derive(Clone)]
pub(crate) struct NamedDestination {
    pub(crate) output: String,
    pub(crate) destination: Arc<DestinationWriter>,
}

/// Creates and tests every destination, and returns all failures.
pub(crate) async fn test_destinations(
    destinations: &[NamedDestination],
    file_work: &UninterruptibleWork,
) -> Vec<OutputDestinationError> {
    let destinations = destinations.to_vec();
    let test_all = move || {
        let failures = destinations.iter().filter_map(|NamedDestination { output, destination }| {
            let error = test(destination).err()?;
            Some(OutputDestinationError { output: output.clone(), error })
        });
        let failures = failures.collect();
        // Only now, because destinations may share a disk that has not enough space for all of them.
        for named in destinations {
            named.destination.remove_trial();
        }
        failures
    };
    file_work.run_blocking(test_all).await
}

fn test(destination: &DestinationWriter) -> Result<(), DestinationError> {
    destination.test()?;
    destination.prepare()?;
    destination.try_writing()
}
