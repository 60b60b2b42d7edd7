//! Teleport's APIs as a client sees them: the proxy's web API, the auth API over gRPC and REST, its messages, and hints
//! about refusals.
//!
//! May import `net`, `credential` and `platform`. Never retries a request: that is decided where the consequences are known.

pub(crate) mod api_error;
pub(crate) mod auth_client;
pub(crate) mod convert;
pub(crate) mod discovery;
pub(crate) mod error_body;
pub(crate) mod grpc;
pub(crate) mod kubernetes_proxy;
pub(crate) mod messages;
pub(crate) mod rest;
pub(crate) mod server_hints;
pub(crate) mod server_version;
