//! A tunnel to an application or a database: obtains a certificate for the resource, with which connections through the proxy
//! reach it.
//!
//! Does not listen, and knows nothing about the clients of the tunnel or about what they send.

use super::application::route_to_app;
use super::context::IssueContext;
use super::database::route_to_database;
use super::error::{OutputError, TunnelError};
use super::issue::{ImpersonatedIdentity, Issuer};
use super::listening::{IssuedAccess, ListenerSettings};
use crate::agent::credential::identity::Identity;
use crate::agent::net::dialler::DialTarget;
use crate::agent::teleport::auth_client::{AuthClient, RouteTo};
use crate::config::{ApplicationTunnelService, DatabaseTunnelService, GoDuration};
use crate::untrusted::escape;

/// The ALPN entry of a TCP application, and of every other one.
pub(super) const TCP_APP: &str = "teleport-tcp";
pub(super) const HTTP_APP: &str = "http/1.1";

/// The ALPN entry of each database protocol.
const DATABASES: [(&str, &str); 15] = [
    ("postgres", "teleport-postgres"),
    ("cockroachdb", "teleport-postgres"),
    ("mysql", "teleport-mysql"),
    ("mongodb", "teleport-mongodb"),
    ("oracle", "teleport-oracle"),
    ("redis", "teleport-redis"),
    ("sqlserver", "teleport-sqlserver"),
    ("cassandra", "teleport-cassandra"),
    ("elasticsearch", "teleport-elasticsearch"),
    ("opensearch", "teleport-opensearch"),
    ("dynamodb", "teleport-dynamodb"),
    ("clickhouse", "teleport-clickhouse"),
    ("clickhouse-http", "teleport-clickhouse"),
    ("snowflake", "teleport-snowflake"),
    ("spanner", "teleport-spanner"),
];

/// A tunnel, whose certificate can be issued any number of times.
#[derive(Debug)]
pub(crate) struct Tunnel {
    pub(crate) listener: ListenerSettings,
    pub(crate) kind: TunnelKind,
}

/// The resource at the other end of a tunnel.
#[derive(Clone, Debug)]
pub(crate) enum TunnelKind {
    Application { name: String },
    Database { service: String, database: String, username: String },
}

impl TunnelKind {
    pub(crate) fn application(service: &ApplicationTunnelService) -> Self {
        let ApplicationTunnelService {
            listen: _,
            app_name,
            delegation_session_id: _,
            name: _,
            credential_ttl: _,
            certificate_ttl: _,
            renewal_interval: _,
            roles: _,
        } = service;
        Self::Application { name: app_name.as_str().to_owned() }
    }

    pub(crate) fn database(service: &DatabaseTunnelService) -> Self {
        let DatabaseTunnelService {
            listen: _,
            service,
            database,
            username,
            name: _,
            credential_ttl: _,
            certificate_ttl: _,
            renewal_interval: _,
            roles: _,
        } = service;
        Self::Database {
            service: service.as_str().to_owned(),
            database: database.as_str().to_owned(),
            username: username.as_str().to_owned(),
        }
    }
}

impl Tunnel {
    /// Looks up the resource and issues a certificate for it.
    pub(crate) async fn issue(
        &self,
        bot_client: &AuthClient,
        bot_identity: &Identity,
        context: &IssueContext<'_>,
    ) -> Result<IssuedAccess<DialTarget>, OutputError> {
        let issuer = self.listener.issuer(bot_client, bot_identity, context)?;
        let impersonated = issuer.impersonate().await?;
        let (route, protocol) = match &self.kind {
            TunnelKind::Application { name } => {
                let (route, uri) = route_to_app(&issuer, &impersonated, name).await?;
                (RouteTo::App(route), app_protocol(&uri))
            }
            TunnelKind::Database { service, database, username } => {
                let route = route_to_database(&issuer, &impersonated, service, database, username).await?;
                let protocol = database_protocol(&route.protocol)?;
                (RouteTo::Database(route), protocol)
            }
        };
        issue_target(&issuer, &impersonated, route, protocol, self.listener.leeway).await
    }
}

/// Issues a certificate for a resource. Returns the target of connections with it.
pub(super) async fn issue_target(
    issuer: &Issuer<'_>,
    impersonated: &ImpersonatedIdentity,
    route: RouteTo,
    protocol: &'static str,
    leeway: GoDuration,
) -> Result<IssuedAccess<DialTarget>, OutputError> {
    let identity = issuer.issue_for(impersonated, route).await?;
    let target = |identity: Identity| {
        let target = issuer.context.dialler.to_resource(&identity, protocol);
        target.map_err(|error| TunnelError::Roots(error).into())
    };
    IssuedAccess::new(target, identity, leeway, issuer)
}

/// Returns the ALPN entry of an application with this URI.
pub(super) fn app_protocol(uri: &str) -> &'static str {
    if uri.starts_with("tcp://") { TCP_APP } else { HTTP_APP }
}

fn database_protocol(name: &str) -> Result<&'static str, TunnelError> {
    let known = DATABASES.iter().find(|(database, _)| *database == name);
    known.map(|(_, protocol)| *protocol).ok_or_else(|| TunnelError::DatabaseProtocol(escape(name).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_of_an_application_and_the_protocol_of_a_database_decide_the_route() {
        assert_eq!(app_protocol("tcp://127.0.0.1:9"), "teleport-tcp");
        for uri in ["http://127.0.0.1:9", "https://a", "cloud://AWS", ""] {
            assert_eq!(app_protocol(uri), "http/1.1");
        }
        assert_eq!(database_protocol("cockroachdb").unwrap(), "teleport-postgres");
        let error = database_protocol("new\ndb").unwrap_err();
        assert!(
            matches!(&error, TunnelError::DatabaseProtocol(protocol) if protocol == "new\\ndb"),
            "{error}"
        );
    }
}
