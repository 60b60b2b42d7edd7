//! The refusal of a configuration in which the agent would overwrite its own identity or another service's files. A caller
//! may have loaded it without knowing this process, and links may have changed since.

use crate::agent::platform::{Environment, resolve_links};
use crate::config::{Config, Overlap, ProcessContext};

/// Finds overlaps of what the agent writes in this process.
///
/// # Errors
///
/// Returns all overlaps.
pub(super) fn check(config: &Config, environment: &Environment) -> Result<(), Vec<Overlap>> {
    let process = ProcessContext {
        // Without a working directory, relative paths are compared with each other only.
        working_directory: std::env::current_dir().unwrap_or_default(),
        pod_namespace: environment.get("POD_NAMESPACE").map(str::to_owned),
        resolve_links: Some(resolve_links),
    };
    let overlaps = config.overlaps(process);
    if overlaps.is_empty() { Ok(()) } else { Err(overlaps) }
}
