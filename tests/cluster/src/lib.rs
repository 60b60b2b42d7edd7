//! A development cluster: one process on loopback that speaks to a `tbot` what a Teleport 15 proxy and auth server speak,
//! for as much as its outputs need. Real TLS, real certificates, real refusals; nothing behind them. It is a
//! test part and the stage of the demo: it must never be a dependency of what ships.
//!
//! ```text
//!                        ┌ first ALPN entry teleport-auth@<hex>… ─ mutual TLS, host CA ┬ h2 ─ gRPC ─ auth.rs
//!                        │                                                            └ http/1.1 ─ REST
//! one port ─ ClientHello ┤ first ALPN entry teleport-proxy-grpc ─ TLS, web CA, h2 ─ gRPC ─ join_service.rs
//!                        └ anything else ─ TLS, web CA ─ web.rs: find, ping, join
//! ```
//!
//! Every call goes the same way (`server.rs`): it is logged, a scripted fault may stop it, the rules (`state.rs`,
//! `issue.rs`) decide, the outcome is logged. `tests/conformance.rs` holds all of it against recordings of a real server.
//!
//! What it does not do: serve the applications, databases, Kubernetes and leaf clusters that it lists, join with other
//! proofs than identity tokens and those of AWS and Azure, talk over the auth port or an SSH tunnel, judge workloads by what
//! was attested of them.

mod access;
mod auth;
mod aws;
mod azure;
mod ca;
pub mod clock;
mod error;
mod events;
mod faults;
mod identity;
mod issue;
mod join_service;
mod jwt;
mod keys;
mod log;
pub mod method;
mod oidc;
pub mod proto;
mod resources;
mod rotation;
mod server;
mod ssh;
mod state;
mod tls;
mod web;
mod workload_identity;
mod x509;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
pub use tonic::Code;

pub use crate::aws::AwsUser;
pub use crate::azure::AzureMachine;
use crate::ca::{Authorities, TlsAuthority};
pub use crate::clock::{Clock, MovableClock};
pub use crate::error::{Error, Failure};
use crate::events::Events;
use crate::faults::Faults;
pub use crate::faults::{Hold, StreamFault};
use crate::jwt::JwtKey;
use crate::log::Log;
pub use crate::log::{Call, Outcome};
pub use crate::oidc::Issuer;
use crate::oidc::Trusted;
pub use crate::resources::{DISCOVERED_NAME, Resource, ResourceKind};
pub use crate::rotation::Phase;
pub use crate::state::Role;
use crate::state::State;
use crate::tls::Tls;
pub use crate::workload_identity::{Forgery, WorkloadIdentity};

/// The version that the cluster says it is: that of the recordings.
pub const SERVER_VERSION: &str = "15.0.0-dev";

/// What a cluster is made of.
#[derive(Clone)]
pub struct ClusterConfig {
    pub cluster_name: String,
    /// Validity, expiry and the check of client certificates follow this clock.
    pub clock: Clock,
    /// The version that it says it is. It answers as [`SERVER_VERSION`] does, and newer calls with code 12, but for those
    /// about workload identities from version 17 on.
    pub server_version: String,
    /// Where to listen. Loopback; port 0 takes a free one.
    pub listen: SocketAddr,
}

impl ClusterConfig {
    /// A cluster called `dev.test` with nothing behind it, on a free port of 127.0.0.1.
    pub fn new(clock: Clock) -> Self {
        Self {
            cluster_name: "dev.test".to_owned(),
            clock,
            server_version: SERVER_VERSION.to_owned(),
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
        }
    }
}

/// What every call needs.
struct Shared {
    name: String,
    clock: Clock,
    server_version: String,
    addr: SocketAddr,
    authorities: Mutex<Authorities>,
    /// Made anew at each step of a rotation.
    tls: Mutex<Arc<Tls>>,
    web_ca_pem: String,
    events: Events,
    state: Mutex<State>,
    faults: Faults,
    log: Log,
    /// Of every resource: nanoseconds at which the cluster began.
    id: i64,
    /// Of every resource.
    revision: String,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn authorities(&self) -> MutexGuard<'_, Authorities> {
        self.authorities.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tls(&self) -> Arc<Tls> {
        self.tls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A running cluster. Dropping it closes the port and every connection.
pub struct Cluster {
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl Cluster {
    /// Starts a cluster on the current tokio runtime; it listens when this returns.
    pub async fn start(config: ClusterConfig) -> Result<Self, Error> {
        let listening = |source| Error::Listen { addr: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(listening)?;
        let addr = listener.local_addr().map_err(listening)?;
        let now = (config.clock)();
        let authorities = Authorities::generate(&config.cluster_name, now)?;
        let tls = Tls::new(&config.cluster_name, &authorities, &config.clock)?;
        let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let shared = Arc::new(Shared {
            name: config.cluster_name,
            clock: config.clock,
            server_version: config.server_version,
            addr,
            tls: Mutex::new(tls.into()),
            web_ca_pem: authorities.web.pem().to_owned(),
            authorities: Mutex::new(authorities),
            events: Events::default(),
            state: Mutex::default(),
            faults: Faults::new(),
            log: Log::new(),
            id: i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX),
            revision: keys::uuid()?,
        });
        let server = tokio::spawn(server::serve(shared.clone(), listener));
        Ok(Self { shared, server })
    }

    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// The proxy's web address: what goes into a configuration as `proxy_server`.
    pub fn proxy_addr(&self) -> SocketAddr {
        self.shared.addr
    }

    /// PEM of the authority behind the web certificate: the content for the file that `SSL_CERT_FILE` names.
    pub fn web_ca_pem(&self) -> &str {
        &self.shared.web_ca_pem
    }

    /// Adds a bot that may impersonate `roles`, and returns its join token: good once, within an hour. Roles that were
    /// not defined with [`Cluster::set_role`] are made as [`Role::new`] makes them.
    pub fn add_bot(&self, name: &str, roles: &[&str]) -> Result<String, Error> {
        self.shared.state().add_bot(name, roles, (self.shared.clock)())
    }

    /// A further token for a bot. A bot that has joined is refused with it all the same, as on a real server.
    pub fn add_token(&self, bot: &str) -> Result<String, Error> {
        self.shared.state().add_token(bot, (self.shared.clock)())
    }

    /// A join token `name` for a bot, that works with an identity token of `issuer` for `audience` and with nothing else,
    /// again and again. What it gives is not renewable and not counted.
    pub fn add_oidc_token(
        &self,
        bot: &str,
        name: &str,
        issuer: &Issuer,
        audience: &str,
    ) -> Result<(), Error> {
        self.shared.state().add_oidc_token(bot, name, Trusted::new(issuer, audience))
    }

    /// The same for a token of the method `iam`: it works with a request that `user` has signed.
    pub fn add_aws_token(&self, bot: &str, name: &str, user: AwsUser) -> Result<(), Error> {
        self.shared.state().add_aws_token(bot, name, user)
    }

    /// The same for a token of the method `azure`: it works with what `machine` says.
    pub fn add_azure_token(&self, bot: &str, name: &str, machine: Arc<AzureMachine>) -> Result<(), Error> {
        self.shared.state().add_azure_token(bot, name, machine)
    }

    /// Removes a bot with its tokens. Its certificates are refused from now on.
    pub fn remove_bot(&self, name: &str) {
        self.shared.state().remove_bot(name);
    }

    /// Defines a role, or defines it anew.
    pub fn set_role(&self, role: Role) {
        self.shared.state().set_role(role);
    }

    /// Registers an application, a database or a Kubernetes cluster. The name of one Kubernetes cluster ends up in every
    /// certificate, as on a real server.
    pub fn add_resource(&self, resource: Resource) {
        self.shared.state().resources.add(resource);
    }

    /// Makes every list of resources or federations go on for ever, which no real server does.
    pub fn never_end_lists(&self) {
        self.shared.state().resources.is_endless = true;
    }

    /// Lets another cluster trust this one: certificates can lead there. Nothing is there.
    pub fn add_leaf(&self, name: &str) -> Result<(), Error> {
        let authorities = Authorities::generate(name, (self.shared.clock)())?;
        self.shared.state().leaves.insert(name.to_owned(), Arc::new(authorities));
        Ok(())
    }

    /// Adds a workload identity, or defines it anew. Clusters that say they are older than 17 do not know of any.
    pub fn set_workload_identity(&self, identity: WorkloadIdentity) {
        self.shared.state().workloads.insert(identity.name.clone(), identity);
    }

    /// Federates with another trust domain, whose bundle (a JWKS document) is known or not yet.
    pub fn federate(&self, trust_domain: &str, bundle: Option<String>) {
        self.shared.state().federations.insert(trust_domain.to_owned(), bundle);
    }

    /// What others federate with: the authorities of this cluster's workloads as a JWKS document.
    pub fn spiffe_bundle(&self) -> Result<String, Error> {
        self.shared.spiffe_bundle()
    }

    /// The keys, PEM texts joined, that the tokens of workloads are verified with: the one that signs first.
    pub fn spiffe_token_keys(&self) -> Result<String, Error> {
        self.shared
            .authorities()
            .spiffe
            .trusted()
            .filter_map(|k| k.jwt.as_ref())
            .map(JwtKey::public_pem)
            .collect()
    }

    /// Has the key that signs certificates of workloads certified by somebody else's root, whose certificate in PEM comes
    /// back. Whoever wants none of that is issued as before.
    pub fn override_spiffe_issuer(&self) -> Result<String, Error> {
        self.shared.authorities().override_spiffe_issuer((self.shared.clock)())
    }

    /// The generation of a bot: 0 before it joins, 1 after, where it joins with a token that works once; none when there is
    /// no such bot.
    pub fn generation(&self, bot: &str) -> Option<u64> {
        self.shared.state().generation(bot)
    }

    /// Whether a bot is locked, which is for ever.
    pub fn is_locked(&self, bot: &str) -> bool {
        self.shared.state().is_locked(bot)
    }

    /// Takes the authority `kind` (`host`, `user`, `db` or `spiffe`) on to `phase` of its rotation: new connections meet the
    /// certificates and the trust of that phase, and everybody who watches is told.
    pub fn rotate(&self, kind: &str, phase: Phase) -> Result<(), Error> {
        let Shared { name, clock, events, .. } = &*self.shared;
        let tls = {
            let mut authorities = self.shared.authorities();
            authorities.rotate(kind, phase, clock())?;
            Tls::new(name, &authorities, clock)?
        };
        *self.shared.tls.lock().unwrap_or_else(PoisonError::into_inner) = tls.into();
        let authority = self.shared.public_authority(name, &self.shared.authorities(), kind);
        if let Some(authority) = authority {
            events.put(name, &authority);
        }
        Ok(())
    }

    /// The certificates, PEM texts joined, that the authority `kind` is trusted by: those that sign first.
    pub fn authority_pem(&self, kind: &str) -> String {
        let authorities = self.shared.authorities();
        authorities.of_kind(kind).into_iter().flat_map(|a| a.trusted_tls()).map(TlsAuthority::pem).collect()
    }

    /// Ends every stream of events in good order.
    pub fn end_events(&self) {
        self.shared.events.end();
    }

    /// Every call so far, in the order of arrival.
    pub fn requests(&self) -> Vec<Call> {
        self.shared.log.calls()
    }

    /// Waits until `count` calls of `method` have come to an end, and returns all of that method so far.
    pub async fn wait_for(&self, method: &str, count: usize) -> Vec<Call> {
        self.shared.log.wait_for(method, count).await
    }

    /// Refuses the next call of `method` with `code` (over HTTP: the status of the same kind), and does nothing else.
    pub fn fail_next(&self, method: &str, code: Code, message: &str) {
        self.shared.faults.fail_next(method, Failure::new(code, message));
    }

    /// Lets the next call of `method` wait, before anything is done about it, until the returned [`Hold`] is dropped.
    /// A caller that hangs up meanwhile takes its call back.
    pub fn hold_next(&self, method: &str) -> Hold {
        self.shared.faults.hold_next(method)
    }

    /// Acts on the next call of `method`, then cuts the connection instead of answering.
    pub fn drop_reply(&self, method: &str) {
        self.shared.faults.drop_reply(method);
    }

    /// Lets the next stream of `method`, one of those that begin with a challenge, go wrong in this way.
    pub fn spoil_stream(&self, method: &str, fault: StreamFault) {
        self.shared.faults.spoil_stream(method, fault);
    }

    /// While down, connections are cut and new ones are closed before a byte is read. What was issued stays issued.
    pub fn set_down(&self, down: bool) {
        self.shared.faults.set_down(down);
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.server.abort();
    }
}
