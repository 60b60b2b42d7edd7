//! What is in a file that somebody else keeps fresh: read anew each time. One I/O edge.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::{Jwt, LARGEST, ProofError, Wanted};
use crate::agent::platform::tasks::run_blocking;

/// The identity token in the file `path`; `needs` says what puts it there.
pub(super) async fn proof(path: PathBuf, needs: &'static str) -> Result<Jwt, ProofError> {
    let wanted = Wanted::id_token(needs);
    Jwt::new(&read(&path, wanted).await?, wanted.what, path.display())
}

/// The same as [`text`], for who must not block. `wanted` is for the error.
pub(super) async fn read(path: &Path, wanted: Wanted) -> Result<String, ProofError> {
    let path = path.to_owned();
    run_blocking(move || text(&path).map_err(|error| wanted.unreadable(path, error))).await
}

/// The beginning of a text, one byte more than may be there, so that too much is seen as such. Blocks.
pub(super) fn text(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LARGEST as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}
