//! x
mod address;
mod api;
mod discovery;
mod error;
mod identity;
mod join;
mod keys;
mod options;
mod proto;
#[cfg(test)]
mod recordings;
mod rest;
mod route;
mod sshcert;
mod tls;
mod token;
mod web;
mod x509;
pub use options::*;
