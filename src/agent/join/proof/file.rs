//! A proof in a file, which somebody else keeps fresh: read anew each time. One I/O edge.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use super::{LARGEST, Proof, ProofError};

/// The proof in the file `path`; `needs` says what puts it there. Blocks.
pub(super) fn proof(path: PathBuf, needs: &'static str) -> Result<Proof, ProofError> {
    let mut text = String::new();
    // One byte more than may be there, so that too much is seen as such.
    let read = File::open(&path).and_then(|file| file.take(LARGEST as u64 + 1).read_to_string(&mut text));
    match read {
        Ok(_) => Proof::new(&text, path.display()),
        Err(error) => Err(ProofError::Unreadable { path, error, needs }),
    }
}
