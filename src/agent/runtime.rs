//! Runs the agent: turns the configuration into services, keeps the identity and every output fresh, and reports
//! health.
//!
//! The top layer: may import every other layer, and no layer imports it.

pub(crate) mod agent;
mod application_proxy;
mod attempt;
pub(crate) mod concurrency;
mod connections;
mod continuous;
pub(crate) mod control;
mod current_identity;
pub(crate) mod error;
pub(crate) mod health;
pub(crate) mod health_monitor;
pub(crate) mod health_server;
mod heartbeat;
pub(crate) mod keypair;
pub(crate) mod metrics;
pub(crate) mod oneshot;
mod outputs;
mod overlaps;
pub(crate) mod retry;
mod revocations;
pub(crate) mod rotation;
pub(crate) mod running_agent;
pub(crate) mod schedule;
mod services;
pub(crate) mod setup;
mod shared_access;
pub(crate) mod ssh_proxy;
mod stream_retry;
mod tasks;
mod tunnels;
pub(crate) mod unsupported;
