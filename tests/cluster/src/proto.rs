//! The protobuf messages of the calls that the cluster serves.
//!
//! Names and field numbers are those of Teleport. Only fields that the cluster or its clients use are declared; the
//! conformance tests list every recorded field that is not.

mod auth_service;
mod authorities;
mod join;
mod resources;
mod workload_identity;

pub use auth_service::*;
pub use authorities::*;
pub use join::*;
pub use resources::*;
pub use workload_identity::*;
