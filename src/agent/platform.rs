//! The lowest layer: what the agent takes from its process (environment, clock, randomness, tasks), and how errors become
//! text.
//!
//! May import nothing else of the agent.

pub(crate) mod error_text;
pub(crate) mod hex;
pub(crate) mod options;
pub(crate) mod tasks;
