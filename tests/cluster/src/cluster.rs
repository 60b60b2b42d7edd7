//! The public API of the development cluster: starting one, adding bots and resources, scripting faults, and inspecting
//! calls.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::UNIX_EPOCH;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::Code;

use crate::authorities::Authorities;
use crate::aws::AwsUser;
use crate::azure::AzureMachine;
use crate::bound_keypair::BoundKeypairToken;
use crate::call_log::{Call, CallLog};
use crate::clock::Clock;
use crate::error::{ApiError, Error};
use crate::events::Watchers;
use crate::faults::{Faults, HeldCall, StreamFault};
use crate::in_progress::InProgress;
use crate::join_request::TokenMethod;
use crate::jwt::JwtKey;
use crate::oidc::{OidcIssuer, TrustedIssuer};
use crate::phase::Phase;
use crate::resources::Resource;
use crate::revocations::Revocations;
use crate::role::Role;
use crate::server::Port;
use crate::shared::{SERVER_VERSION, Shared};
use crate::tls::{ProtocolVersions, TlsConfigs};
use crate::tls_authority::TlsAuthority;
use crate::workload_identity::WorkloadIdentity;
use crate::{keys, server};

/// The settings of a [`Cluster`].
#[derive(Clone)]
pub struct ClusterConfig {
    pub cluster_name: String,
    /// The clock that certificate validity, token expiry and the verification of client certificates follow.
    pub clock: Clock,
    /// The version that the cluster reports. It decides which calls the cluster serves; the others are refused with code 12
    /// (unimplemented), or over HTTP with status 404. [`SERVER_VERSION`] is the default.
    pub server_version: String,
    /// The address of the proxy to listen on, on loopback. Port 0 selects a free port.
    pub listen: SocketAddr,
    /// The auth server's own address to listen on.
    pub auth_listen: SocketAddr,
    /// The versions of TLS that the proxy accepts from clients of databases and TCP applications.
    pub tls_versions: ProtocolVersions,
}

impl ClusterConfig {
    /// Returns the settings of a cluster named `dev.test` without any resources, on free ports of 127.0.0.1.
    pub fn new(clock: Clock) -> Self {
        Self {
            cluster_name: "dev.test".to_owned(),
            clock,
            server_version: SERVER_VERSION.to_owned(),
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            auth_listen: (Ipv4Addr::LOCALHOST, 0).into(),
            tls_versions: rustls::DEFAULT_VERSIONS,
        }
    }
}

/// A running cluster. Dropping it closes its ports and every connection.
pub struct Cluster {
    shared: Arc<Shared>,
    servers: [JoinHandle<()>; 3],
}

impl Cluster {
    /// Starts a cluster on the current tokio runtime. The cluster accepts connections when this returns.
    ///
    /// # Errors
    ///
    /// Returns an error if the address cannot be bound or a key or certificate cannot be generated.
    pub async fn start(config: ClusterConfig) -> Result<Self, Error> {
        let (listener, addr) = listen(config.listen).await?;
        let (auth_listener, auth_addr) = listen(config.auth_listen).await?;
        let (ssh_listener, ssh_addr) = listen((config.listen.ip(), 0).into()).await?;
        let now = (config.clock)();
        let authorities = Authorities::generate(&config.cluster_name, now)?;
        let tls = TlsConfigs::new(&config.cluster_name, &authorities, &config.clock, config.tls_versions)?;
        let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let shared = Arc::new(Shared {
            name: config.cluster_name,
            clock: config.clock,
            server_version: config.server_version,
            addr,
            auth_addr,
            ssh_addr,
            tls_versions: config.tls_versions,
            has_tls_routing: AtomicBool::new(true),
            advertised_addr: OnceLock::new(),
            other_proxy: OnceLock::new(),
            tls: Mutex::new(tls.into()),
            web_ca_pem: authorities.web.pem().to_owned(),
            authorities: Mutex::new(authorities),
            watchers: Watchers::default(),
            revocations: Revocations::default(),
            state: Mutex::default(),
            faults: Faults::new(),
            log: CallLog::new(),
            in_progress: InProgress::new(),
            reverse_tunnels: AtomicUsize::new(0),
            id: i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX),
            revision: keys::uuid()?,
        });
        shared.state().keeps_instances = shared.major_version() >= 17;
        let serve = |listener, port| tokio::spawn(server::serve(shared.clone(), listener, port));
        let servers =
            [serve(listener, Port::Proxy), serve(auth_listener, Port::Auth), serve(ssh_listener, Port::Ssh)];
        Ok(Self { shared, servers })
    }

    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Returns the proxy's web address, for `proxy_server` in a configuration.
    pub fn proxy_addr(&self) -> SocketAddr {
        self.shared.addr
    }

    /// Returns the auth server's own address, for `auth_server` in a configuration.
    pub fn auth_addr(&self) -> SocketAddr {
        self.shared.auth_addr
    }

    /// Returns the pins of the host authority, for `ca_pins` in a configuration: one, or two during a rotation.
    ///
    /// # Errors
    ///
    /// Returns an error if a public key cannot be encoded.
    pub fn ca_pins(&self) -> Result<Vec<String>, Error> {
        self.shared.authorities().host.trusted_tls().map(TlsAuthority::pin).collect()
    }

    /// Returns the proxy's own address for SSH.
    pub fn ssh_addr(&self) -> SocketAddr {
        self.shared.ssh_addr
    }

    /// Without TLS routing, serves SSH only at that address, and says so, as a proxy with a separate port for each protocol. Everything
    /// else that the agent needs is served as before.
    pub fn set_tls_routing(&self, is_on: bool) {
        self.shared.has_tls_routing.store(is_on, Ordering::Relaxed);
    }

    /// Advertises `public_addr` as the address of the proxy, or none if it is empty.
    pub fn advertise_proxy_at(&self, public_addr: &str) {
        let _ = self.shared.advertised_addr.set(public_addr.to_owned());
    }

    /// Makes the auth server name another proxy than this one, as in a cluster with several proxies.
    pub fn name_other_proxy(&self, address: &str) {
        let _ = self.shared.other_proxy.set(address.to_owned());
    }

    /// Returns the PEM certificate of the authority that issued the web certificate, for the file that `SSL_CERT_FILE`
    /// names.
    pub fn web_ca_pem(&self) -> &str {
        &self.shared.web_ca_pem
    }
}

/// Bots, join tokens and roles.
impl Cluster {
    /// Adds a bot that may impersonate `roles`, and returns its join token, which works once and within an hour. Roles
    /// that [`Cluster::set_role`] has not defined are created with [`Role::new`].
    ///
    /// # Errors
    ///
    /// Returns an error if the bot exists.
    pub fn add_bot(&self, name: &str, roles: &[&str]) -> Result<String, Error> {
        self.shared.state().add_bot(name, roles, (self.shared.clock)())
    }

    /// Adds another single-use token for a bot. As on a real server, a bot that has already joined cannot join again
    /// with it.
    ///
    /// # Errors
    ///
    /// Returns an error if the bot does not exist.
    pub fn add_token(&self, bot: &str) -> Result<String, Error> {
        self.shared.state().add_single_use_token(bot, (self.shared.clock)())
    }

    /// Adds the join token `name` for a bot. Every join with it needs an ID token of `issuer` for `audience`. It can be
    /// used any number of times; the certificates are not renewable and have no generation.
    ///
    /// # Errors
    ///
    /// Returns an error if the bot does not exist.
    pub fn add_oidc_token(
        &self,
        bot: &str,
        name: &str,
        issuer: &OidcIssuer,
        audience: &str,
    ) -> Result<(), Error> {
        let method = TokenMethod::Oidc(TrustedIssuer::new(issuer, audience));
        self.shared.state().add_token(bot, name, method)
    }

    /// Like [`Cluster::add_oidc_token`], for the join method `iam`: every join needs a request signed by `user`.
    ///
    /// # Errors
    ///
    /// Returns an error if the bot does not exist.
    pub fn add_aws_token(&self, bot: &str, name: &str, user: AwsUser) -> Result<(), Error> {
        self.shared.state().add_token(bot, name, TokenMethod::Aws(user))
    }

    /// Like [`Cluster::add_oidc_token`], for the join method `azure`: every join needs documents of
    /// `machine`.
    ///
    /// # Errors
    ///
    /// Returns an error if the bot does not exist.
    pub fn add_azure_token(&self, bot: &str, name: &str, machine: Arc<AzureMachine>) -> Result<(), Error> {
        self.shared.state().add_token(bot, name, TokenMethod::Azure(machine))
    }

    /// Like [`Cluster::add_oidc_token`], for the join method `bound_keypair`. Certificates have the generation of their instance.
    ///
    /// # Errors
    ///
    /// Returns an error if the bot does not exist.
    pub fn add_bound_keypair_token(
        &self,
        bot: &str,
        name: &str,
        token: BoundKeypairToken,
    ) -> Result<(), Error> {
        self.shared.state().add_token(bot, name, TokenMethod::BoundKeypair(Box::new(token)))
    }

    /// Returns a token for the join method `bound_keypair` as it is now.
    pub fn bound_keypair_token(&self, name: &str) -> Option<BoundKeypairToken> {
        self.shared.state().bound_keypair(name).cloned()
    }

    /// Changes a token for the join method `bound_keypair`, as an administrator can.
    pub fn edit_bound_keypair_token(&self, name: &str, edit: impl FnOnce(&mut BoundKeypairToken)) {
        if let Some(token) = self.shared.state().bound_keypair(name) {
            edit(token);
        }
    }

    /// Sets the types of keys that clients should use, such as `balanced-v1`.
    pub fn set_signature_algorithm_suite(&self, suite: &str) {
        suite.clone_into(&mut self.shared.state().signature_algorithm_suite);
    }

    /// Removes a bot and its tokens. The cluster stops accepting its certificates.
    pub fn remove_bot(&self, name: &str) {
        self.shared.state().remove_bot(name);
    }

    /// Defines or replaces a role.
    pub fn set_role(&self, role: Role) {
        self.shared.state().set_role(role);
    }

    /// Returns the generation of a bot: 0 until it joins with a single-use token, then 1, incremented by every renewal.
    /// `None` if there is no such bot.
    pub fn generation(&self, bot: &str) -> Option<u64> {
        self.shared.state().generation(bot)
    }

    /// Returns how often each instance of a bot has joined or renewed. Empty for versions before 17, which keep no record of
    /// instances.
    pub fn instances(&self, bot: &str) -> Vec<u64> {
        self.shared.state().instances(bot)
    }

    /// Whether a bot is locked. Nothing unlocks a bot.
    pub fn is_locked(&self, bot: &str) -> bool {
        self.shared.state().is_locked(bot)
    }
}

/// Resources, leaf clusters and workload identities.
impl Cluster {
    /// Registers an application, a database or a Kubernetes cluster. As on a real server, every certificate names a
    /// Kubernetes cluster once one is registered.
    pub fn add_resource(&self, resource: Resource) {
        self.shared.state().resources.add(resource);
    }

    /// Makes every page of resources or federations claim that another one follows, which no real server does.
    pub fn make_lists_endless(&self) {
        self.shared.state().resources.is_endless = true;
    }

    /// Adds a leaf cluster, to which certificates can be routed. No server runs there.
    ///
    /// # Errors
    ///
    /// Returns an error if a key or certificate cannot be generated.
    pub fn add_leaf_cluster(&self, name: &str) -> Result<(), Error> {
        let authorities = Authorities::generate(name, (self.shared.clock)())?;
        self.shared.state().leaves.insert(name.to_owned(), Arc::new(authorities));
        Ok(())
    }

    /// Adds a node of the cluster and its leaf clusters, which listens at `addr`.
    pub fn add_node(&self, name: &str, addr: SocketAddr) {
        self.shared.state().nodes.insert(name.to_owned(), addr);
    }

    /// Adds or replaces a workload identity. A cluster that reports a version before 17 does not serve them.
    pub fn set_workload_identity(&self, identity: WorkloadIdentity) {
        self.shared.state().workloads.insert(identity.name.clone(), identity);
    }

    /// Revokes the X.509 SVID with this serial number, given as the bytes of its DER integer. A cluster that reports a
    /// version before 17.5 does not serve the list of revoked SVIDs.
    ///
    /// # Errors
    ///
    /// Returns an error if the list cannot be signed.
    pub fn revoke_x509_svid(&self, serial: &[u8]) -> Result<(), Error> {
        self.shared.revoke_x509_svid(serial)
    }

    /// Federates with another trust domain. `bundle` is its JWKS document, or `None` if it has not been fetched yet.
    pub fn federate(&self, trust_domain: &str, bundle: Option<String>) {
        self.shared.state().federations.insert(trust_domain.to_owned(), bundle);
    }

    /// Returns this cluster's SPIFFE bundle, which other trust domains federate with: a JWKS document.
    ///
    /// # Errors
    ///
    /// Returns an error if a key cannot be encoded.
    pub fn spiffe_bundle(&self) -> Result<String, Error> {
        self.shared.spiffe_bundle()
    }

    /// Returns the public keys that verify JWT SVIDs as concatenated PEM blocks, the signing key first.
    ///
    /// # Errors
    ///
    /// Returns an error if a key cannot be encoded.
    pub fn spiffe_jwt_keys(&self) -> Result<String, Error> {
        self.shared
            .authorities()
            .spiffe
            .trusted()
            .filter_map(|keys| keys.jwt.as_ref())
            .map(JwtKey::public_pem)
            .collect()
    }

    /// Creates an issuer override: an external root certifies the key that signs X.509 SVIDs. Returns the root's PEM
    /// certificate. Requests that do not ask for overrides are issued as before.
    ///
    /// # Errors
    ///
    /// Returns an error if a key or certificate cannot be generated.
    pub fn override_spiffe_issuer(&self) -> Result<String, Error> {
        self.shared.authorities().override_spiffe_issuer((self.shared.clock)())
    }
}

/// Certificate authorities and their rotation.
impl Cluster {
    /// Moves the authority `kind` (`host`, `user`, `db`, `openssh` or `spiffe`) to `phase` of its rotation. New
    /// connections use the certificates and trust of that phase, and watchers receive an event.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such authority, if `phase` cannot follow the current phase, or if a key or
    /// certificate cannot be generated.
    pub fn rotate(&self, kind: &str, phase: Phase) -> Result<(), Error> {
        let Shared { name, clock, watchers, .. } = &*self.shared;
        let tls = {
            let mut authorities = self.shared.authorities();
            authorities.rotate(kind, phase, clock())?;
            TlsConfigs::new(name, &authorities, clock, self.shared.tls_versions)?
        };
        self.shared.set_tls(tls);
        let authority = self.shared.public_authority(name, &self.shared.authorities(), kind);
        if let Some(authority) = authority {
            watchers.notify(name, &authority);
        }
        Ok(())
    }

    /// Returns the trusted certificates of the authority `kind` as concatenated PEM blocks, the signing one first.
    /// Empty if there is no such authority.
    pub fn authority_pem(&self, kind: &str) -> String {
        let authorities = self.shared.authorities();
        let authority = authorities.of_kind(kind).into_iter();
        authority.flat_map(|authority| authority.trusted_tls()).map(TlsAuthority::pem).collect()
    }

    /// Ends every event stream with status OK.
    pub fn end_event_streams(&self) {
        self.shared.watchers.end();
    }

    /// Ends every stream of the list of revoked X.509 SVIDs with status OK.
    pub fn end_revocation_streams(&self) {
        self.shared.revocations.end_streams();
    }
}

/// Calls and faults.
impl Cluster {
    /// Returns every call so far in the order of arrival.
    pub fn requests(&self) -> Vec<Call> {
        self.shared.log.calls()
    }

    /// Returns how many connections offered only the protocol of reverse tunnels, with which agents test whether the proxy
    /// sees ALPN.
    pub fn reverse_tunnel_connections(&self) -> usize {
        self.shared.reverse_tunnels.load(Ordering::Relaxed)
    }

    /// Waits until `count` calls of `method` have completed, and returns all completed calls of that method.
    pub async fn wait_for(&self, method: &str, count: usize) -> Vec<Call> {
        self.shared.log.wait_for(method, count).await
    }

    /// Waits until every client has disconnected and no call is being processed. What a killed client sent is processed after
    /// its end.
    pub async fn wait_until_idle(&self) {
        self.shared.in_progress.wait_for_none().await;
    }

    /// Refuses the next call of `method` with `code` (over HTTP, with the corresponding status) without processing it.
    pub fn fail_next(&self, method: &str, code: Code, message: &str) {
        self.shared.faults.fail_next(method, ApiError::new(code, message));
    }

    /// Holds the next call of `method`, before the cluster processes it, until the returned [`HeldCall`] is dropped. A
    /// caller that disconnects in the meantime cancels its call.
    pub fn hold_next(&self, method: &str) -> HeldCall {
        self.shared.faults.hold_next(method)
    }

    /// Processes the next call of `method`, then closes the connection instead of responding.
    pub fn drop_next_response(&self, method: &str) {
        self.shared.faults.drop_next_response(method);
    }

    /// Processes the next call of `method`, and sends the headers of the response, but never its message. The connection stays alive.
    pub fn stall_next_response(&self, method: &str) {
        self.shared.faults.stall_next_response(method);
    }

    /// Applies `fault` to the next stream of `method`, which must be a method that begins with a challenge.
    pub fn break_next_stream(&self, method: &str, fault: StreamFault) {
        self.shared.faults.break_next_stream(method, fault);
    }

    /// Takes the cluster down or brings it back up. It keeps its state. While it is down, it has no connections: it
    /// closes those that exist, and each new one before reading anything from it.
    pub fn set_down(&self, down: bool) {
        self.shared.faults.set_down(down);
    }
}

async fn listen(addr: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let failed = |source| Error::Listen { addr, source };
    let listener = TcpListener::bind(addr).await.map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    Ok((listener, addr))
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.servers.iter().for_each(JoinHandle::abort);
    }
}
