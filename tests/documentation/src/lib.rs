//! The documentation of this repository, for tests: its pages, their links and headings, and their code blocks.

#![expect(clippy::unwrap_used, reason = "a panic fails the test that reads the documentation")]

mod page;

pub use page::{CodeBlock, Page, pages, root};
