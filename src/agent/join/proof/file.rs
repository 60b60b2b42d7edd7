//! What is in a file that somebody else keeps fresh: read anew each time. One I/O edge.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::{Jwt, LARGEST, ProofError, Wanted};

/// The identity token in the file `path`; `needs` says what puts it there. Blocks.
pub(super) fn proof(path: PathBuf, needs: &'static str) -> Result<Jwt, ProofError> {
    let wanted = Wanted::id_token(needs);
    match text(&path) {
        Ok(text) => Jwt::new(&text, wanted.what, path.display()),
        Err(error) => Err(wanted.unreadable(path, error)),
    }
}

/// The beginning of a text, one byte more than may be there, so that too much is seen as such. Blocks.
pub(super) fn text(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LARGEST as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}
