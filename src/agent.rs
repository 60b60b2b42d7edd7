//! The agent: joins a Teleport cluster as a bot, keeps the bot's identity fresh, and writes credentials for other programs.
//!
//! The agent reads the typed [`Config`](crate::config::Config); everything else it needs is passed in as
//! [`AgentOptions`]. It never sends telemetry, does not know the event, and never prints: it reports through
//! [`tracing`] and errors.
//!
//! ```text
//! configuration ─ refuse what this version cannot run ─ open and lock the storage
//!     └ discover the server ─ test, then join; or renew the identity ─ save ─┬ output: issue, fetch CAs, write the file set
//!                                        ▲                                  └ tunnel: issue, connect clients to the resource
//!                                        └── wait: interval, backoff, reload ──┘
//! ```
//!
//! Requests to the auth server go through the proxy's web port, as TLS that the proxy routes by its first ALPN protocol; or, if the
//! configuration contains the address of an auth server, directly to that.
//!
//! # Example
//!
//! Embeds the agent: writes an output to memory once. An [error](AgentError) has [sources](std::error::Error::source) and a
//! [hint](AgentError::hint). Its own message contains neither, except that of several errors, which contains those of each.
//!
//! ```
//! use tbot::agent::{Agent, AgentOptions, Clock, Environment, Randomness, control, error_chain};
//! use tbot::config::{Purpose, load};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let yaml = "
//!     version: v2
//!     proxy_server: 127.0.0.1:1
//!     insecure: true
//!     onboarding: {join_method: token, token: a-token}
//!     storage: {type: memory}
//!     services:
//!       - {type: identity, destination: {type: memory}}
//! ";
//! let effective = load(Some(yaml), &[], Purpose::Start).effective.ok_or("not valid")?;
//! let options = AgentOptions {
//!     environment: Environment::default(), // or `Environment::of_process()`
//!     clock: Clock::system(),
//!     randomness: Randomness::system(),
//!     command: "/usr/local/bin/tbot".into(),
//! };
//! let agent = Agent::new(effective.config(), options)?;
//! let (control, signals) = control(); // `control.shutdown()` stops the agent
//! match agent.run_once(signals).await {
//!     Ok(()) => println!("{:?}", agent.files_in_memory(0).keys()),
//!     Err(error) => {
//!         eprintln!("error: {}", error_chain(&error));
//!         if let Some(hint) = error.hint() {
//!             eprintln!("hint: {hint}");
//!         }
//!     }
//! }
//! # drop(control);
//! # Ok(())
//! # }
//! ```
//!
//! # Layers
//!
//! Each directory is a layer and imports only from layers below it; a test in `xtask/tests/layers/` enforces this.
//!
//! From top to bottom: `runtime`, `service`, `bot`, `destination`, `teleport`, `net`, `credential` and `platform`.
//! `docs/architecture.md` says what each of them contains.
//!
//! # Log levels
//!
//! - **error**: someone must act, or the bot stops working when its certificate expires.
//! - **warn**: something failed; the agent continues and retries. A repeated message is logged at debug, and as a warning
//!   again after 5 minutes, then each time the failure has lasted twice as long ("still failing for 40m"), and at least once a
//!   day.
//! - **info**: one line for each join, renewal and written output, with the time until the next one; for each renewal that
//!   begins early; and for the end of a failure.
//! - **debug**: repetitions and details.
//!
//! Tokens, attestations and private keys appear in no log line and in no error.

/// Items that only the `tbot` program uses. Not part of the public API.
#[doc(hidden)]
pub mod internal {
    pub use super::destination::readers::{group_id, user_ids};
    pub use super::net::connection_error::failed_request;
    pub use super::net::http_proxy::HttpProxy;
    pub use super::net::loopback::is_loopback_url;
    pub use super::net::tls::{web as web_tls, without_roots as tls_without_roots};
    pub use super::net::web::client_builder;
    pub use super::runtime::ssh_proxy::{SshProxy, SshProxyError, SshTarget};

    /// Opens and reads files that the program does not trust.
    pub mod files {
        pub use crate::agent::platform::regular_file::{
            RegularFileError, open, open_input, read_all, read_to_string,
        };
    }
}

mod bot;
mod credential;
mod destination;
#[cfg(test)]
mod malformed_input;
mod net;
mod platform;
#[cfg(test)]
mod recordings;
mod runtime;
mod service;
mod teleport;

pub use bot::auth_server_trust::AuthServerTrustError;
pub use bot::bound_keypair::BoundKeypairError;
pub use bot::bound_keys::BoundKeysError;
pub use bot::join::JoinError;
pub use bot::join::attestation::{AttestationError, CommandProblem};
pub use bot::join_token::JoinTokenError;
pub use bot::renewal::preflight::OutputDestinationError;
pub use bot::renewal::{JoinReason, RenewalError};
pub use bot::storage::StorageError;
pub use credential::cluster_name::{ClusterName, ClusterNameError};
pub use credential::identity::IdentityError;
pub use credential::identity_file::{IdentityFile, IdentityFileError};
pub use credential::keys::KeyError;
pub use credential::ssh_cert::SshCertError;
pub use credential::x509::X509Error;
pub use destination::directory::{DirectoryError, LockHolder};
pub use destination::error::DestinationError;
pub use destination::kubernetes_secret::{
    KubeconfigProblem, KubernetesClusterError, KubernetesSecretError, SecretName, SecretRequest,
};
pub use destination::posix_acl::AclProblem;
pub use destination::preparation::{DirectoryUsers, PreparedDirectory, prepare_directory};
pub use destination::readers::ReaderError;
pub use net::auth_route_error::AuthRouteError;
pub use net::connection_error::ConnectionError;
pub use net::http_proxy::HttpProxyError;
pub use net::listener::{ListenerError, ListenerProblem};
pub use net::system_roots::RootsError;
pub use net::tls::TlsError;
pub use net::upgrade_variable::ConnectionUpgradeVariableError;
pub use net::web::HttpError;
pub use platform::error_text::{error_chain, error_line};
pub use platform::regular_file::Obstacle;
pub use platform::{Clock, Environment, Hint, NotUtf8, Randomness, ServerMessage, resolve_links};
pub use runtime::agent::Agent;
pub use runtime::control::{Control, Signals, control};
pub use runtime::error::{AgentError, OutputFailure};
pub use runtime::health::HealthStatus;
pub use runtime::health_monitor::{HealthMonitor, HealthReport};
pub use runtime::health_server::HealthServerError;
pub use runtime::keypair::BoundKeypair;
pub use runtime::setup::AgentOptions;
pub use runtime::unsupported::Unsupported;
pub use service::error::{OutputError, TunnelError, WorkloadIdentityError};
pub use service::lookup::LookupError;
pub use service::name_list::NameList;
pub use service::svid::SvidError;
pub use teleport::api_error::{ApiError, AppSessionProblem, ListProblem};
pub use teleport::discovery::{DiscoveryError, SUPPORTED_VERSIONS};
pub use teleport::grpc_code::GrpcCode;
pub use teleport::kubernetes_proxy::KubeProxyError;
pub use teleport::rest::RestError;
pub use teleport::ssh_address::SshAddressError;
