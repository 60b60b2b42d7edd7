//! The services that the agent delivers: one file per service type, code that they share, and the formats of their
//! files.
//!
//! Each service is created from its configuration by a function that names every property, so that the compiler asks for the effect
//! of a new one. Of the properties that the function ignores, the runtime reads `destination`, `listen` and those in
//! `ServiceFields`, and `Unsupported::check` refuses a service that sets another one.
//!
//! May import `teleport`, `destination` and the layers below them. Does not decide when a service runs.

pub(crate) mod application;
pub(crate) mod application_proxy;
pub(crate) mod context;
pub(crate) mod database;
pub(crate) mod error;
pub(crate) mod files;
pub(crate) mod host_patterns;
pub(crate) mod identity;
pub(crate) mod issue;
pub(crate) mod known_hosts;
pub(crate) mod kubeconfig;
pub(crate) mod kubernetes;
pub(crate) mod kubernetes_v2;
pub(crate) mod listening;
pub(crate) mod lookup;
pub(crate) mod name_list;
pub(crate) mod output;
pub(crate) mod ssh_config;
pub(crate) mod ssh_host;
pub(crate) mod svid;
pub(crate) mod tunnel;
pub(crate) mod workload_identity;
pub(crate) mod workload_jwt;
pub(crate) mod workload_x509;
