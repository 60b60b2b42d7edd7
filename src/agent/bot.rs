//! The bot's own identity: joins the cluster, renews, and stores the identity before anything uses it.
//!
//! May import `destination`, `teleport` and the layers below them; knows no service.

pub(crate) mod join;
pub(crate) mod join_token;
pub(crate) mod renewal;
pub(crate) mod storage;
