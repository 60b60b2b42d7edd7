//! Integration tests, one binary.

mod agent;
