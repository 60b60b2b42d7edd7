//! Selects the output of a configuration whose directory a command uses.

use std::path::Path;

use tbot::config::{Config, Destination, Directory, Service};
use tbot::untrusted::escape;

use crate::exit::Failure;

/// Returns the output with the directory `path`, or, without it, the only output with a directory. `flag` is the one that
/// selects a directory.
pub(crate) fn directory_output<'a>(
    config: &'a Config,
    path: Option<&str>,
    flag: &str,
) -> Result<(&'a Service, &'a Directory), Failure> {
    let outputs = config.services().filter_map(|service| match service.fields().destination() {
        Some(Destination::Directory(directory)) => Some((service, directory)),
        _ => None,
    });
    let mut outputs = outputs.filter(|(_, directory)| {
        path.is_none_or(|path| Path::new(directory.path.as_str()) == Path::new(path))
    });
    match (outputs.next(), outputs.next()) {
        (Some(output), None) => Ok(output),
        (None, _) => Err(Failure::Usage(match path {
            Some(path) => format!("no output of the configuration writes to {}", escape(path)),
            None => "no output of the configuration writes to a directory".to_owned(),
        })),
        (Some(_), Some(_)) => Err(Failure::Usage(match path {
            Some(path) => format!("several outputs of the configuration write to {}", escape(path)),
            None => format!("several outputs write to a directory: choose one with {flag}"),
        })),
    }
}
