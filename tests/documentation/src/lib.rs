//! The documentation of this repository, for tests: its pages, their links and headings, and their code blocks, whose
//! commands can be run.
//!
//! docs/contributing.md describes which code blocks are run, and how their output is compared.

#![expect(clippy::unwrap_used, reason = "a panic fails the test that reads the documentation")]

mod page;
mod session;

pub use page::{CodeBlock, Page, pages, root};
pub use session::Session;
