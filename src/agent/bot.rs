//! Joins the cluster, renews the bot's identity, and stores each new identity before anything uses it.
//!
//! May import `destination`, `teleport` and the layers below them, but never a service.

pub(crate) mod auth_server_trust;
pub(crate) mod bound_keypair;
pub(crate) mod bound_keys;
pub(crate) mod join;
pub(crate) mod join_token;
pub(crate) mod renewal;
pub(crate) mod secret_file;
pub(crate) mod storage;

/// The name of the bot's own identity in the log and in the agent's health. No configured service may use it.
pub(crate) const IDENTITY: &str = "identity";
