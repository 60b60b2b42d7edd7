//! Before a join that uses up its token, tests everything that the agent needs afterwards: if one of these tests failed only then, the
//! operator would have to create another token.

use std::sync::Arc;

use tokio::task::JoinSet;
use tracing::Instrument as _;

use crate::agent::destination::error::DestinationError;
use crate::agent::destination::writer::DestinationWriter;
use crate::agent::platform::Hint;
use crate::agent::platform::tasks::UninterruptibleWork;

/// The maximum number of destinations that are tested at the same time.
const MAX_TESTS: usize = 64;

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
    /// The files that each set of the output has.
    pub(crate) files: Vec<&'static str>,
}

/// Creates and tests every destination, and returns all failures.
pub(crate) async fn test_destinations(
    destinations: &[NamedDestination],
    file_work: &UninterruptibleWork,
) -> Vec<OutputDestinationError> {
    let mut failures = Vec::new();
    // Several at a time: a test of a file system that does not respond takes two minutes.
    for destinations in destinations.chunks(MAX_TESTS) {
        let mut tests = JoinSet::new();
        for NamedDestination { output, destination, files } in destinations.iter().cloned() {
            let file_work = file_work.clone();
            let test_of_output = async move {
                let tested =
                    destination.run_blocking(&file_work, move |destination| test(destination, &files)).await;
                tested.err().map(|error| OutputDestinationError { output, error })
            };
            tests.spawn(test_of_output.in_current_span());
        }
        failures.extend(tests.join_all().await.into_iter().flatten());
    }
    // In the order of the configuration.
    let position = |failure: &OutputDestinationError| {
        destinations.iter().position(|named| named.output == failure.output)
    };
    failures.sort_by_key(position);
    // Only now, because destinations may share a disk that has not enough space for all of them.
    for destinations in destinations.chunks(MAX_TESTS) {
        let mut removals = JoinSet::new();
        for NamedDestination { output, destination, .. } in destinations.iter().cloned() {
            let is_unresponsive = |failure: &OutputDestinationError| {
                failure.output == output && matches!(failure.error, DestinationError::Unresponsive(_))
            };
            if !failures.iter().any(is_unresponsive) {
                let file_work = file_work.clone();
                let removal = async move { destination.run_blocking(&file_work, remove_test_files).await };
                removals.spawn(removal.in_current_span());
            }
        }
        // If a file system does not respond any more, the files of the test stay there.
        removals.join_all().await;
    }
    failures
}

fn remove_test_files(destination: &DestinationWriter) -> Result<(), DestinationError> {
    destination.remove_test_files();
    Ok(())
}

fn test(destination: &DestinationWriter, files: &[&str]) -> Result<(), DestinationError> {
    destination.prepare()?;
    destination.test_set(files)
}
