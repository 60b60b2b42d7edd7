//! The bot's own identity: joins the cluster, renews the identity, and stores it before anything uses it.
//!
//! May import `destination`, `teleport` and the layers below them, but never a service.

pub(crate) mod join;
pub(crate) mod join_token;
pub(crate) mod renewal;
pub(crate) mod storage;
