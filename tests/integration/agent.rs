//! The agent against the development cluster: real TLS, real certificates, real refusals, on loopback.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails fails its test")]

mod alive;
mod daemon;
mod health;
mod hostile;
pub(crate) mod joining;
mod kube_api;
mod kubernetes_secret;
pub(crate) mod lab;
mod once;
pub(crate) mod outputs;
mod proxy;
mod refusals;
mod rotation;
mod safety;
mod secrecy;
mod workloads;
