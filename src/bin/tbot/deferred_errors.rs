//! An output stream whose errors do not end a command: the command goes on to its own result, and the error is returned at the end.

use std::io::{self, Write};

/// A stream that accepts everything. After an error, it drops what is written.
pub(crate) struct DeferredErrors<W> {
    stream: W,
    error: Option<io::Error>,
}

impl<W> DeferredErrors<W> {
    pub(crate) const fn new(stream: W) -> Self {
        Self { stream, error: None }
    }
}

impl<W: Write> Write for DeferredErrors<W> {
    /// Never fails.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.error.is_none() {
            self.error = self.stream.write_all(bytes).err();
        }
        Ok(bytes.len())
    }

    /// Returns the first error, however often it is called.
    fn flush(&mut self) -> io::Result<()> {
        if self.error.is_none() {
            self.error = self.stream.flush().err();
        }
        match &self.error {
            Some(error) => Err(io::Error::new(error.kind(), error.to_string())),
            None => Ok(()),
        }
    }
}
