//! Connects an SSH client to a host through a proxy, with the credentials of an `identity` file. Needs no running agent.

use std::io;
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::agent::credential::identity::Identity;
use crate::agent::credential::identity_file::{IdentityFile, IdentityFileError};
use crate::agent::net::connection_error::{ConnectionError, TlsFailure};
use crate::agent::net::dialler::Dialler;
use crate::agent::net::http_proxy::HttpProxyError;
use crate::agent::net::route::Route;
use crate::agent::net::tls::TlsError;
use crate::agent::net::upgrade_variable::{ConnectionUpgradeVariableError, needs_upgrade};
use crate::agent::platform::{Clock, Environment, Hint, Rounded, ServerMessage};
use crate::agent::teleport::grpc_code::GrpcCode;
use crate::agent::teleport::messages::transport_v1::TargetHost;
use crate::agent::teleport::ssh_service::{self, SshServiceError};
use crate::config::Address;
use crate::untrusted::escape;

/// The connection to a host failed, or ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SshProxyError {
    /// The credentials expired this long ago.
    #[error("the credentials expired {} ago", Rounded(*.0))]
    Expired(Duration),
    /// The environment names an HTTP proxy that cannot be used.
    #[error(transparent)]
    HttpProxy(#[from] HttpProxyError),
    /// `TELEPORT_TLS_ROUTING_CONN_UPGRADE` is not valid.
    #[error(transparent)]
    UpgradeVariable(#[from] ConnectionUpgradeVariableError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The proxy cannot be reached.
    #[error("cannot connect to the proxy {0}")]
    Connect(Address, #[source] ConnectionError),
    /// The server at this address does not offer the service.
    #[error("the proxy {0} does not offer connections to SSH servers")]
    NotServed(Address),
    /// The proxy did not connect to the host.
    #[error("the proxy cannot connect to {host}: {message} ({code:?})")]
    Refused {
        /// The host and its port.
        host: String,
        /// The gRPC status code.
        code: GrpcCode,
        /// The server's message.
        message: ServerMessage,
    },
    /// The connection ended early.
    #[error("the connection to {0} was lost")]
    Lost(String, #[source] ConnectionError),
    /// The bytes that the host has sent cannot be written.
    #[error("cannot write the output of the host")]
    Output(#[source] io::Error),
}

impl SshProxyError {
    /// Returns advice for the user, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        const NOT_RENEWED: &str =
            "check that the tbot that writes this directory is running, and read its log";
        Some(Hint::new(match self {
            Self::Expired(_) => NOT_RENEWED,
            Self::HttpProxy(error) => return Some(error.hint()),
            Self::UpgradeVariable(error) => return Some(error.hint()),
            Self::Tls(error) => return error.hint(),
            Self::Connect(_, source) => match source.tls_failure() {
                Some(TlsFailure::ClientExpired | TlsFailure::ClientCaUnknown) => NOT_RENEWED,
                Some(TlsFailure::UnknownIssuer) => {
                    "the certificate at this address was not issued by the host CA of the cluster: check the address"
                }
                Some(TlsFailure::NotYetValid | TlsFailure::Expired) => "check this machine's clock",
                _ => {
                    return source
                        .hint()
                        .or(Some(Hint::new("check the address of the proxy, and that it is up")));
                }
            },
            Self::NotServed(_) => "check that this is the address of a Teleport proxy, version 15 or newer",
            Self::Refused { code: GrpcCode::Unauthenticated, .. } => NOT_RENEWED,
            Self::Refused { .. } => {
                "check the name and the port of the host (tctl nodes ls), and that a role of the output has matching node_labels"
            }
            Self::Lost(..) | Self::Output(_) => return None,
        }))
    }
}

/// The host to connect to, and the route to it.
#[derive(Clone, Debug)]
pub struct SshTarget {
    /// The address of the proxy; without TLS routing, that of its SSH port.
    pub proxy: Address,
    /// Whether the proxy routes all protocols at one port.
    pub tls_routing: bool,
    /// Whether connections to the proxy need the connection upgrade; `None` to test it.
    pub connection_upgrade: Option<bool>,
    /// Whether to accept any certificate of the proxy, for tests.
    pub insecure: bool,
    /// The cluster of the host; `None` for the one of the credentials.
    pub cluster: Option<String>,
    /// The user to log in as.
    pub user: String,
    /// The name of the host, which may end in the name of the cluster, and of the proxy.
    pub host: String,
    /// The port of the SSH server; `None` if the proxy selects it.
    pub port: Option<u16>,
}

impl SshTarget {
    /// Returns the host as the proxy knows it.
    fn host_in(&self, cluster: &str) -> TargetHost {
        let proxy = self.proxy.host();
        let suffixes = [format!(".{cluster}.{proxy}"), format!(".{cluster}"), format!(".{proxy}")];
        let without_suffix = suffixes.iter().filter_map(|suffix| self.host.strip_suffix(suffix.as_str()));
        // The name of the cluster may end in that of the proxy, or the other way round: the longer one counts.
        let shortest = without_suffix.filter(|host| !host.is_empty()).min_by_key(|host| host.len());
        let host = shortest.unwrap_or(&self.host);
        let port = self.port.unwrap_or_default();
        let host_port =
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        TargetHost { host_port, cluster: cluster.to_owned(), login_name: self.user.clone() }
    }
}

/// Connects SSH clients to hosts. `Debug` omits the credentials.
pub struct SshProxy {
    identity: Identity,
    route_to_cluster: String,
}

impl SshProxy {
    /// Uses the credentials of an `identity` file.
    ///
    /// # Errors
    ///
    /// Returns an error if its parts do not belong together.
    pub fn new(file: IdentityFile) -> Result<Self, IdentityFileError> {
        let cluster = file.route_to_cluster().map(str::to_owned);
        let identity = file.into_identity()?;
        let route_to_cluster = cluster.unwrap_or_else(|| identity.cluster().to_string());
        Ok(Self { identity, route_to_cluster })
    }

    /// Connects to a host, and copies bytes in both directions until the host ends the connection.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no connection, or if it ends early.
    pub async fn forward(
        &self,
        target: SshTarget,
        environment: &Environment,
        clock: &Clock,
        input: impl AsyncRead + Send + Unpin + 'static,
        output: &mut (impl AsyncWrite + Unpin),
    ) -> Result<(), SshProxyError> {
        if let Some(expired) = self.expired(clock.now()) {
            return Err(SshProxyError::Expired(expired));
        }
        let host = target.host_in(target.cluster.as_deref().unwrap_or(&self.route_to_cluster));
        let (proxy, name) = (target.proxy.clone(), escape(&host.host_port).into_owned());
        let route = Route::new(target.proxy, environment, target.insecure, clock.clone())?;
        let upgrade = match target.connection_upgrade {
            _ if !target.tls_routing => Some(false),
            None => needs_upgrade(environment, &proxy)?,
            given => given,
        };
        let dialler = Dialler::without_roots(&route, environment, upgrade);
        let server = dialler.to_ssh_service(&self.identity, target.tls_routing)?;
        ssh_service::forward(server, host, input, output).await.map_err(|error| match error {
            SshServiceError::Connect(source) => SshProxyError::Connect(proxy, source),
            SshServiceError::NotServed => SshProxyError::NotServed(proxy),
            SshServiceError::Refused { code, message } => {
                SshProxyError::Refused { host: name, code, message }
            }
            SshServiceError::Lost(source) => SshProxyError::Lost(name, source),
            SshServiceError::Output(error) => SshProxyError::Output(error),
        })
    }

    /// Returns how long ago the credentials expired, or `None` if they are still valid.
    fn expired(&self, now: SystemTime) -> Option<Duration> {
        now.duration_since(self.identity.user.not_after).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suffixes_of_a_host_and_its_port_are_as_the_proxy_expects_them() {
        let host_in = |cluster: &str, host: &str, port| {
            let target = SshTarget {
                proxy: "t.example:443".parse().unwrap(),
                tls_routing: true,
                connection_upgrade: None,
                insecure: false,
                cluster: None,
                user: "root".to_owned(),
                host: host.to_owned(),
                port,
            };
            target.host_in(cluster).host_port
        };
        let host = |host: &str, port| host_in("leaf.test", host, port);
        for (given, expected) in [
            ("node.leaf.test", "node:3022"),
            ("node.t.example", "node:3022"),
            ("node.leaf.test.t.example", "node:3022"),
            ("node.other.test", "node.other.test:3022"),
            ("nodeleaf.test", "nodeleaf.test:3022"),
            ("leaf.test", "leaf.test:3022"),
            (".leaf.test", ".leaf.test:3022"),
            ("node", "node:3022"),
            ("2001:db8::7", "[2001:db8::7]:3022"),
        ] {
            assert_eq!(host(given, Some(3022)), expected);
        }
        assert_eq!(host("node", None), "node:0");
        assert_eq!(host_in("eu.t.example", "node.eu.t.example", None), "node:0");
        assert_eq!(host_in("eu.t.example", "node.eu.t.example.t.example", None), "node:0");
        assert_eq!(host_in("t.example", "node.t.example", None), "node:0");
        assert_eq!(host_in("example", "node.t.example", None), "node:0");
        assert_eq!(host_in("example", "node.example", None), "node:0");
    }
}
