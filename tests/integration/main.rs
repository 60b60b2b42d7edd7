//! Integration tests, one binary.

mod agent;
mod embed;
mod program;
