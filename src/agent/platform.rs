//! The lowest layer: what the agent takes from its process (environment, clock, randomness, tasks), and how errors become
//! text.
//!
//! May import nothing else of the agent.

mod clock;
mod environment;
pub(crate) mod error_text;
pub(crate) mod hex;
mod randomness;
pub(crate) mod tasks;

pub use clock::Clock;
pub use environment::{Environment, NotUtf8};
pub use randomness::Randomness;
