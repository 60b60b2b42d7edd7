//! Tests everything that the agent needs after a join, before a join that uses up its token: if one of these tests failed
//! afterwards, the operator would have to create another token.

use std::sync::Arc;

use super::error::RenewalError;
use crate::agent::destination::writer::DestinationWriter;
use crate::agent::platform::tasks::UncutWork;

/// The destination of an output, with the output's name.
#[derive(Clone)]
pub(crate) struct NamedDestination {
    pub(crate) output: String,
    pub(crate) destination: Arc<DestinationWriter>,
}

/// Creates and tests every destination, and returns all failures.
pub(crate) async fn test_destinations(
    destinations: &[NamedDestination],
    file_work: &UncutWork,
) -> Vec<RenewalError> {
    let mut failures = Vec::new();
    for NamedDestination { output, destination } in destinations.iter().cloned() {
        let test = move || {
            destination.test()?;
            destination.prepare()
        };
        if let Err(error) = file_work.run_blocking(test).await {
            failures.push(RenewalError::Destination { output, error });
        }
    }
    failures
}
