//! The Machine ID agent for Teleport: its configuration, the agent itself, and its telemetry event.
//!
//! The library validates `tbot.yaml` ([`config`]) and, with the `agent` feature, joins a cluster and keeps credentials
//! up to date. It builds the `tbot.start` event ([`event`]) but cannot send it: only the binary contains code
//! that does.
//!
//! - [`config`] loads and validates a configuration.
//! - [`diagnostic`] reports what is wrong in it, and renders reports.
//! - [`event`] builds the event of a start, for example to show it.
//! - `agent` runs the agent. It needs the feature `agent`, which adds an async runtime, TLS and gRPC.
//!
//! The other modules contain types that these use. `config`, `event` and `agent` start with an example. What a module named `internal`
//! contains is not part of the public API.

#![warn(missing_docs)]

#[cfg(feature = "agent")]
pub mod agent;
pub mod config;
pub mod diagnostic;
pub mod event;
/// What the program and the library share. Not part of the public API.
#[doc(hidden)]
pub mod untrusted;

pub use tbot_yaml::{self as yaml, pointer};

/// The examples on the page about embedding, which are compiled and run as tests.
#[cfg(all(doctest, feature = "agent"))]
#[doc = include_str!("../docs/embedding.md")]
mod embedding {}
