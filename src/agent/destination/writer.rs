//! Writes the files of an output to its destination: a directory, a Kubernetes Secret, or memory. Never interprets the content of the
//! files.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::agent::destination::directory_writer::DirectoryWriter;
use crate::agent::destination::error::DestinationError;
use crate::agent::destination::kubernetes_secret::SecretClient;
use crate::agent::destination::staging::NewFile;
use crate::agent::destination::target::WriteTarget;
use crate::agent::platform::error_text::error_line;
use crate::agent::platform::lock::lock;
use crate::agent::platform::reminders::RecurringWarnings;
use crate::agent::platform::tasks::{FileSystemWork, UninterruptibleWork};

/// How long work at a destination waits for its file system. Longer than it waits for the lock of its directory.
const FILE_TIMEOUT: Duration = Duration::from_secs(120);

/// Which files of earlier sets to remove and which to keep, if the new set does not replace them. A directory also keeps files that
/// are in neither list; a Secret and the memory do not.
#[derive(Clone, Debug, Default)]
pub(crate) struct EarlierFiles {
    /// The names of files that must not remain.
    pub(crate) removed: Vec<&'static str>,
    /// The names of files that must remain, because there is nothing newer.
    pub(crate) kept: Vec<&'static str>,
}

/// Writes the files of one output. Its `Debug` output does not contain the files.
pub(crate) struct DestinationWriter {
    backend: Backend,
    files: FileSystemWork,
}

enum Backend {
    Directory(DirectoryWriter),
    Memory(Mutex<BTreeMap<String, Vec<u8>>>),
    Secret(SecretWriter),
}

/// Writes the files of one output to a Kubernetes Secret.
struct SecretWriter {
    client: Box<SecretClient>,
    output: String,
    warnings: RecurringWarnings,
}

impl DestinationWriter {
    /// `output` is the name of the output in warnings.
    pub(crate) fn new(output: &str, target: WriteTarget, warnings: RecurringWarnings) -> Self {
        let output = output.to_owned();
        let backend = match target {
            WriteTarget::Directory(target) => {
                Backend::Directory(DirectoryWriter::new(output, target, warnings))
            }
            WriteTarget::Memory => Backend::Memory(Mutex::default()),
            WriteTarget::Secret(client) => Backend::Secret(SecretWriter { client, output, warnings }),
        };
        Self { backend, files: FileSystemWork::default() }
    }

    /// Does blocking work at the destination. If its file system does not respond, only this work fails: no restart of the agent
    /// would help.
    pub(crate) async fn run_blocking(
        self: &Arc<Self>,
        uninterruptible: &UninterruptibleWork,
        work: impl FnOnce(&Self) -> Result<(), DestinationError> + Send + 'static,
    ) -> Result<(), DestinationError> {
        let writer = Arc::clone(self);
        let result = self.files.run_blocking(FILE_TIMEOUT, uninterruptible, move || work(&writer)).await;
        let unresponsive =
            || DestinationError::Unresponsive(self.directory().map(Path::to_owned).unwrap_or_default());
        result.unwrap_or_else(|| Err(unresponsive()))
    }

    /// Returns the path of the directory, or `None` for another destination. For files that refer to each other by
    /// path.
    pub(crate) fn directory(&self) -> Option<&Path> {
        match &self.backend {
            Backend::Directory(writer) => Some(writer.path()),
            Backend::Memory(_) | Backend::Secret(_) => None,
        }
    }

    /// Recovers from a crash, and tests whether files can be written and readers can be given access. To be called before credentials are
    /// requested.
    pub(crate) fn prepare(&self) -> Result<(), DestinationError> {
        match &self.backend {
            Backend::Directory(writer) => writer.prepare(),
            Backend::Memory(_) => Ok(()),
            Backend::Secret(secret) => Ok(secret.client.test_write()?),
        }
    }

    /// Tests whether files with these names can be written, and whether there is space for as many files as an output has. To be called
    /// after [`prepare`](Self::prepare), before something is requested that cannot be requested twice. Space on a disk stays in use
    /// until [`remove_test_files`](Self::remove_test_files).
    pub(crate) fn test_set(&self, names: &[&str]) -> Result<(), DestinationError> {
        match &self.backend {
            Backend::Directory(writer) => writer.test_set(names),
            Backend::Memory(_) | Backend::Secret(_) => Ok(()),
        }
    }

    /// Frees what [`test_set`](Self::test_set) uses. If this fails, the next [`prepare`](Self::prepare) does it.
    pub(crate) fn remove_test_files(&self) {
        match &self.backend {
            Backend::Directory(writer) => writer.remove_test_files(),
            Backend::Memory(_) | Backend::Secret(_) => {}
        }
    }

    /// Writes the files as one set.
    pub(crate) fn write(&self, files: Vec<NewFile>, earlier: &EarlierFiles) -> Result<(), DestinationError> {
        let EarlierFiles { removed, kept } = earlier;
        match &self.backend {
            Backend::Directory(writer) => writer.write(&files, removed),
            Backend::Memory(memory) => {
                replace_all_except(kept, &mut lock(memory), files);
                Ok(())
            }
            Backend::Secret(secret) => secret.write(files, kept),
        }
    }

    /// Returns all files, by name, if the destination is memory, and otherwise none.
    pub(crate) fn files_in_memory(&self) -> BTreeMap<String, Vec<u8>> {
        match &self.backend {
            Backend::Memory(memory) => lock(memory).clone(),
            Backend::Directory(_) | Backend::Secret(_) => BTreeMap::new(),
        }
    }
}

impl SecretWriter {
    fn write(&self, files: Vec<NewFile>, kept: &[&str]) -> Result<(), DestinationError> {
        let mut all = if kept.is_empty() { BTreeMap::new() } else { self.read_earlier(kept) };
        replace_all_except(kept, &mut all, files);
        self.client.write(&all, None)?;
        Ok(())
    }

    /// Returns the files of the Secret. If they cannot be read, warns that those in `kept` are lost: new credentials must not wait
    /// for that.
    fn read_earlier(&self, kept: &[&str]) -> BTreeMap<String, Vec<u8>> {
        match self.client.read() {
            Ok(content) => content.unwrap_or_default().files,
            Err(error) => {
                let error = error_line(&error, error.hint().as_ref());
                self.warnings.warn(
                    &self.output,
                    format_args!("writing without the earlier {}: {error}", kept.join(", ")),
                );
                BTreeMap::new()
            }
        }
    }
}

/// Removes every file that is not in `kept`, then adds `files`.
fn replace_all_except(kept: &[&str], all: &mut BTreeMap<String, Vec<u8>>, files: Vec<NewFile>) {
    all.retain(|name, _| kept.contains(&name.as_str()));
    all.extend(files);
}

impl fmt::Debug for DestinationWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.backend {
            Backend::Directory(writer) => f.debug_tuple("Directory").field(writer).finish(),
            Backend::Memory(_) => f.write_str("Memory"),
            Backend::Secret(secret) => f.debug_tuple("Secret").field(&secret.client).finish(),
        }
    }
}

#[cfg(test)]
mod tests;
