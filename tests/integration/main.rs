//! All integration tests, in one binary.

mod agent;
mod embed;
mod program;
