//! Connects to other machines: addresses, the route through an HTTP proxy, TLS, the connection upgrade, and HTTP with limits.
//! Listens for local programs.
//!
//! May import `credential` and `platform`; does not know Teleport's APIs. Never retries.

pub(crate) mod auth_route_error;
pub(crate) mod byte_stream;
mod certificate_verifier;
pub(crate) mod connection_error;
mod connection_upgrade;
pub(crate) mod dialler;
pub(crate) mod http1;
pub(crate) mod http_body;
pub(crate) mod http_forwarding;
pub(crate) mod http_pool;
pub(crate) mod http_proxy;
pub(crate) mod http_server;
mod http_tunnel;
mod http_upgrade;
mod keep_alive;
mod known_protocol;
pub(crate) mod known_server;
pub(crate) mod listener;
pub(crate) mod loopback;
mod no_proxy;
mod resolver;
pub(crate) mod route;
pub(crate) mod system_roots;
pub(crate) mod tls;
pub(crate) mod upgrade_variable;
pub(crate) mod web;
mod web_socket;
