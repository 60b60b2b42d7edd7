//! Machine ID agent for Teleport: configuration, telemetry event, agent.
//!
//! fresh. It builds the `tbot.start` event ([`event`]) but has no code that can send it: only the binary does.

pub mod config;
pub mod diagnostic;
pub mod pointer;
pub mod yaml;
