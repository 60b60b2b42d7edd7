//! A development cluster: one process on loopback that speaks to `tbot` as a Teleport 15 proxy and auth server do, as
//! far as `tbot` and its services need. TLS, certificates and refusals are real, but the resources that it lists do
//! not exist, unless a test runs a server for one. It serves the tests, the benchmarks and the demo, and must never become a
//! dependency of anything that ships.
//!
//! ```text
//!                        ┌ first ALPN entry teleport-auth@<hex>… ─ mutual TLS, host CA ┬ h2 ─ gRPC ─ auth_service.rs
//!                        │                                                            └ http/1.1 ─ REST
//! one port ─ ClientHello ┤ first ALPN entry teleport-proxy-grpc ─ TLS, web CA, h2 ─ gRPC ─ join_service.rs
//!                        ├ first ALPN entry teleport-proxy-ssh-grpc ─ mutual TLS, host CA, h2 ─ gRPC ─ ssh_service.rs
//!                        ├ first ALPN entry teleport-postgres, teleport-tcp, … ─ mutual TLS, web CA ─ tunnel.rs
//!                        └ anything else ─ TLS, web CA ─ web.rs: find, ping, join
//! ```
//!
//! Every call takes the same path (`server.rs`): it is logged, a scripted fault may stop it, the rules (`state.rs`,
//! `issuance.rs`) decide, and the outcome is logged. `tests/conformance/` compares all of this with recordings of a
//! real server.
//!
//! The cluster does not
//!
//! - serve the Kubernetes clusters and leaf clusters that it lists, nor understand what it forwards to applications and
//!   databases;
//! - support join methods other than `token`, `iam`, `azure`, `bound_keypair` and those that use ID tokens;
//! - accept reverse tunnels, or run nodes: a test adds the address of each one;
//! - evaluate workload attestation.

mod anonymous;
mod auth_service;
mod authorities;
mod authority;
mod authority_api;
mod aws;
mod azure;
mod bound_keypair;
mod byte_stream;
mod call_log;
pub mod clock;
mod cluster;
mod connection;
mod connection_upgrade;
mod error;
mod events;
mod faults;
mod identity;
mod in_progress;
mod issuance;
mod join_request;
mod join_service;
mod join_stream;
mod join_v1;
mod jwt;
mod keys;
mod message_stream;
pub mod method;
mod oidc;
mod phase;
pub mod proto;
mod resource_api;
mod resources;
mod revocations;
mod role;
mod server;
mod shared;
mod ssh;
mod ssh_service;
mod state;
mod tls;
mod tls_authority;
mod tunnel;
mod web;
mod workload_identity;
mod workload_issuance;
mod x509;

pub use tonic::Code;

pub use crate::aws::AwsUser;
pub use crate::azure::AzureMachine;
pub use crate::bound_keypair::{BoundKeypairToken, KeyRegistration, RecoveryMode};
pub use crate::call_log::{Call, Outcome};
pub use crate::clock::{Clock, MovableClock};
pub use crate::cluster::{Cluster, ClusterConfig};
pub use crate::error::{ApiError, Error};
pub use crate::faults::{HeldCall, StreamFault};
pub use crate::oidc::OidcIssuer;
pub use crate::phase::Phase;
pub use crate::resources::{DISCOVERED_NAME_LABEL, Resource, ResourceKind};
pub use crate::role::Role;
pub use crate::shared::SERVER_VERSION;
pub use crate::tls::ProtocolVersions;
pub use crate::workload_identity::{Forgery, WorkloadIdentity};
