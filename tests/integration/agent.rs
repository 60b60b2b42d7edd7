//! Runs the agent as a library against the development cluster on loopback, with real TLS and real certificates.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a panic in a helper fails the test")]

mod application_proxy;
pub(crate) mod certificate;
mod check_before_join;
mod continuous;
mod direct_auth;
mod errors;
mod every_output;
mod fake_kube_api;
pub(crate) mod fixture;
mod full_disks;
mod health;
mod heartbeat;
pub(crate) mod http_endpoint;
mod http_proxy;
mod joining;
mod kubernetes_secret;
mod load_balancer;
mod log_capture;
mod oneshot;
pub(crate) mod outline;
mod outputs;
mod overlaps;
mod planted_entries;
mod refusals;
mod renewal_safety;
mod resilience;
mod rotation;
mod secrecy;
mod servers;
mod tunnels;
mod unusable_directories;
mod workload_identity;
