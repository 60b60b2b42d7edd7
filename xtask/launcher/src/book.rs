//! `cargo xtask book`: the documentation as a book.

use anyhow::Result;
use xtask_launcher::tools::MDBOOK;
use xtask_launcher::{print_line, root, shell};

use crate::setup;

/// Builds the book with mdBook, prints the path of its first page, and opens it in a browser if `open` is set.
///
/// # Errors
///
/// Returns an error if mdBook is missing or fails.
pub(crate) fn build(open: bool) -> Result<()> {
    setup::require(&MDBOOK)?;
    shell::run(if open { "mdbook build --open" } else { "mdbook build" })?;
    print_line(&root()?.join("target/book/index.html").display().to_string());
    Ok(())
}
