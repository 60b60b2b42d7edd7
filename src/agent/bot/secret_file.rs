//! Reads a secret from a file that the configuration names: a join token, a registration secret or a private key.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::agent::bot::IDENTITY;
use crate::agent::platform::reminders::RecurringWarnings;
use crate::agent::platform::{Exposure, regular_file};

/// The largest file that the agent reads, in bytes. Tokens have some 32 bytes, and private keys a few thousand.
const FILE_LIMIT: u64 = 64 << 10;

/// A file that contains a secret.
#[derive(Clone)]
pub(crate) struct SecretFile {
    path: PathBuf,
    /// The content of a pipe, which can be read only once.
    from_pipe: Arc<OnceLock<String>>,
}

/// A secret cannot be read from its file.
#[derive(Debug)]
pub(crate) enum SecretFileError {
    Unreadable(io::Error),
    /// The file is empty, or contains only whitespace.
    Empty,
}

impl From<io::Error> for SecretFileError {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

impl SecretFile {
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), from_pipe: Arc::default() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the content of the file, or what was read from the pipe. May block.
    ///
    /// Warns if every user can read or change the file and `what`, the name of the secret, is given.
    pub(crate) fn read(
        &self,
        what: Option<&str>,
        warnings: &RecurringWarnings,
    ) -> Result<String, SecretFileError> {
        if let Some(content) = self.from_pipe.get() {
            return Ok(content.clone());
        }
        let file = regular_file::open_input(&self.path).map_err(io::Error::from)?;
        let content = regular_file::read_all_to_string(&file, FILE_LIMIT)?;
        if content.trim().is_empty() {
            return Err(SecretFileError::Empty);
        }
        if !file.metadata()?.is_file() {
            return Ok(self.from_pipe.get_or_init(|| content).clone());
        }
        if let Some(what) = what
            && let Some(exposure) = Exposure::of(&file)?
        {
            warnings.warn(IDENTITY, exposure.warning(what, &self.path));
        }
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::AsRawFd as _;

    use super::*;
    use crate::agent::platform::Clock;

    fn read(file: &SecretFile) -> Result<String, SecretFileError> {
        file.read(Some("secret"), &RecurringWarnings::new(Clock::system()))
    }

    #[test]
    fn a_file_is_read_again_and_a_pipe_only_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        let file = SecretFile::new(&path);
        for content in ["first", "second"] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(read(&file).unwrap(), content);
        }
        let (reader, mut writer) = io::pipe().unwrap();
        let pipe = SecretFile::new(format!("/dev/fd/{}", reader.as_raw_fd()));
        writer.write_all(b"from a pipe").unwrap();
        drop(writer);
        for file in [&pipe, &pipe.clone()] {
            assert_eq!(read(file).unwrap(), "from a pipe");
        }
    }

    #[test]
    fn a_pipe_with_a_name_is_not_opened_and_an_empty_device_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
        assert!(matches!(read(&SecretFile::new(&path)), Err(SecretFileError::Unreadable(_))));
        let null = std::fs::File::open("/dev/null").unwrap();
        let null = SecretFile::new(format!("/dev/fd/{}", null.as_raw_fd()));
        assert!(matches!(read(&null), Err(SecretFileError::Empty)));
        for device in ["/dev/null", "/dev/zero"] {
            assert!(
                matches!(read(&SecretFile::new(device)), Err(SecretFileError::Unreadable(_))),
                "{device}"
            );
        }
    }
}
