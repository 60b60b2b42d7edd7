//! Extracts the error under test from the layers of an [`AgentError`]. Each function fails the test if
//! the error is a different one.

use tbot::agent::{
    AgentError, ApiError, AttestationError, AuthServerTrustError, DestinationError, DirectoryError,
    JoinError, JoinReason, KubernetesSecretError, OutputError, RenewalError, StorageError,
};

/// The names of the outputs that failed.
pub(super) fn failed_outputs(error: &AgentError) -> Vec<&str> {
    let AgentError::Outputs(failures) = error else { panic!("{error:?}") };
    failures.iter().map(|failure| failure.name.as_str()).collect()
}

/// Why the first output that failed could not be written.
pub(super) fn output_error(error: AgentError) -> OutputError {
    match error {
        AgentError::Outputs(mut failures) => failures.remove(0).error,
        other => panic!("not an output's error: {other:?}"),
    }
}

/// Why the bot's identity was neither renewed nor obtained by joining.
pub(super) fn renewal_error(error: AgentError) -> RenewalError {
    match error {
        AgentError::Renewal(error) => error,
        other => panic!("not a renewal's error: {other:?}"),
    }
}

/// Why a renewal of the bot's identity failed, if the server certainly did not count it.
pub(super) fn api_error(error: AgentError) -> ApiError {
    match renewal_error(error) {
        RenewalError::Api(error) => error,
        other => panic!("not an API error: {other:?}"),
    }
}

/// Why the agent had to join, and why it could not.
pub(super) fn join_error(error: AgentError) -> (JoinReason, JoinError) {
    match renewal_error(error) {
        RenewalError::Join { reason, error } => (reason, error),
        other => panic!("not a join's error: {other:?}"),
    }
}

/// Why the agent had to join, and why it could not obtain an attestation, either before it called the cluster or for the
/// cluster's challenge.
pub(super) fn attestation_error(error: AgentError) -> (JoinReason, AttestationError) {
    match renewal_error(error) {
        RenewalError::Attestation { reason, error }
        | RenewalError::Join { reason, error: JoinError::Attestation(error) } => (reason, error),
        other => panic!("not an attestation's error: {other:?}"),
    }
}

/// The tests before a join that failed.
pub(super) fn failed_tests(error: AgentError) -> Vec<RenewalError> {
    match renewal_error(error) {
        RenewalError::NotReady { failures, .. } => failures,
        other => panic!("not a failed test: {other:?}"),
    }
}

/// Why the auth server cannot be verified, in the tests before a join with a token or in another join.
pub(super) fn trust_error(error: AgentError) -> AuthServerTrustError {
    let error = match renewal_error(error) {
        RenewalError::NotReady { mut failures, .. } => failures.remove(0),
        error => error,
    };
    match error {
        RenewalError::AuthServerTrust(error) => error,
        other => panic!("not an untrusted auth server: {other:?}"),
    }
}

/// Why an output's destination cannot be used, in the test before a join or later.
fn destination_error(error: AgentError) -> DestinationError {
    match error {
        AgentError::Destination(destination) => destination.error,
        error @ AgentError::Renewal(_) => match failed_tests(error).remove(0) {
            RenewalError::Destination(destination) => destination.error,
            other => panic!("not a destination's error: {other:?}"),
        },
        other => match output_error(other) {
            OutputError::Destination(error) => error,
            other => panic!("not a destination's error: {other:?}"),
        },
    }
}

/// What failed in the directory of the storage or of an output.
pub(super) fn directory_error(error: AgentError) -> DirectoryError {
    match error {
        AgentError::Storage(StorageError::Directory(error))
        | AgentError::Renewal(RenewalError::Storage(StorageError::Directory(error))) => error,
        other => match destination_error(other) {
            DestinationError::Directory(error) => error,
            other => panic!("not a directory's error: {other:?}"),
        },
    }
}

/// What failed with the Kubernetes Secret of the storage or of an output.
pub(super) fn secret_error(error: AgentError) -> KubernetesSecretError {
    match error {
        AgentError::Storage(StorageError::Secret(error))
        | AgentError::Renewal(RenewalError::Storage(StorageError::Secret(error))) => error,
        other => match destination_error(other) {
            DestinationError::Secret(error) => error,
            other => panic!("not a Secret's error: {other:?}"),
        },
    }
}
