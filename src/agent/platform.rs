//! The lowest layer: the agent's access to its process (environment, clock, randomness, tasks, regular files), and the
//! formatting of errors.
//!
//! Must not import any other layer.

mod clock;
mod environment;
pub(crate) mod error_text;
mod exposure;
pub(crate) mod hex;
mod hint;
mod host_name;
mod links;
pub(crate) mod lock;
mod randomness;
pub(crate) mod regular_file;
pub(crate) mod reminders;
mod rounded;
mod server_message;
pub(crate) mod tasks;

pub use clock::Clock;
pub use environment::{Environment, NotUtf8};
pub(crate) use exposure::Exposure;
pub use hint::Hint;
pub(crate) use host_name::host_name;
pub use links::resolve_links;
pub use randomness::Randomness;
pub(crate) use rounded::Rounded;
pub use server_message::ServerMessage;
