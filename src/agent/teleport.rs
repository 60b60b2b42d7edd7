//! Clients for Teleport's APIs: the proxy's web API, and the auth API over gRPC and REST, with its messages and hints
//! for refused requests.
//!
//! May import `net`, `credential` and `platform`. Never retries a request, because only the caller knows the
//! consequences.

mod advertised_address;
pub(crate) mod api_error;
pub(crate) mod auth_client;
pub(crate) mod auth_discovery;
pub(crate) mod convert;
pub(crate) mod discovery;
pub(crate) mod error_body;
pub(crate) mod grpc;
pub(crate) mod grpc_code;
pub(crate) mod kubernetes_proxy;
pub(crate) mod messages;
pub(crate) mod once_per_identity;
mod paged_list;
pub(crate) mod proxy_settings;
pub(crate) mod rest;
pub(crate) mod server_hints;
pub(crate) mod server_version;
pub(crate) mod ssh_address;
pub(crate) mod ssh_service;
pub(crate) mod web_api;
