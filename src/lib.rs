//! The Machine ID agent for Teleport: its configuration, the agent itself, and its telemetry event.
//!
//! The library validates `tbot.yaml` ([`config`]) and, with the `agent` feature, joins a cluster and keeps credentials
//! up to date. It builds the `tbot.start` event ([`event`]) but cannot send it: only the binary contains code
//! that does.

#[cfg(feature = "agent")]
pub mod agent;
pub mod config;
pub mod diagnostic;
pub mod event;
pub mod pointer;
pub mod yaml;
