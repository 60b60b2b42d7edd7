//! A tunnel to an application or a database: obtains a certificate for the resource, with which connections through the proxy
//! reach it.
//!
//! The certificate stays in memory. Does not listen, and knows nothing about the clients of the tunnel or about what they send.

use std::time::{Duration, SystemTime};

use super::application::route_to_app;
use super::context::{IssueContext, ServiceSettings};
use super::database::route_to_database;
use super::error::{OutputError, TunnelError};
use super::issue::Issuer;
use crate::agent::credential::identity::Identity;
use crate::agent::net::dialler::DialTarget;
use crate::agent::net::known_server::ServerKind;
use crate::agent::teleport::auth_client::{AuthClient, RouteTo};
use crate::config::{GoDuration, ListenUri};
use crate::untrusted::escape;

/// The ALPN entry of a TCP application, and of every other one.
const TCP_APP: &str = "teleport-tcp";
const HTTP_APP: &str = "http/1.1";

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
#[derive(Clone, Debug)]
pub(crate) struct Tunnel {
    pub(crate) settings: ServiceSettings,
    pub(crate) kind: TunnelKind,
    pub(crate) listen: ListenUri,
    /// How long before its expiry a certificate is replaced. If negative, how long after.
    pub(crate) leeway: GoDuration,
}

/// The resource at the other end of a tunnel.
#[derive(Clone, Debug)]
pub(crate) enum TunnelKind {
    Application { name: String },
    Database { service: String, database: String, username: String },
}

/// The permission to connect to the resource, for as long as its certificate is valid.
pub(crate) struct ResourceAccess {
    pub(crate) target: DialTarget,
    pub(crate) not_after: SystemTime,
    /// From this time on, a new certificate is needed.
    replace_at: SystemTime,
}

impl ResourceAccess {
    /// Returns whether a connection can begin with the certificate.
    pub(crate) fn is_usable(&self, now: SystemTime) -> bool {
        now < self.replace_at
    }
}

impl Tunnel {
    /// Looks up the resource and issues a certificate for it.
    pub(crate) async fn issue(
        &self,
        bot_client: &AuthClient,
        bot_identity: &Identity,
        context: &IssueContext<'_>,
    ) -> Result<ResourceAccess, OutputError> {
        if context.dialler.kind() == ServerKind::Auth {
            return Err(TunnelError::NoProxy.into());
        }
        let issuer = Issuer::new(&self.settings, None, bot_client, bot_identity, context);
        let impersonated = issuer.impersonate(false).await?;
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
        let identity = issuer.issue_for(&impersonated, false, route).await?;
        let not_after = identity.user.not_after;
        let lifetime = not_after.duration_since(context.clock.now()).unwrap_or_default();
        let replace_at = replace_at(not_after, lifetime, self.leeway).unwrap_or_else(|| {
            issuer.warn(format_args!(
                "leeway is ignored, because it is not shorter than the lifetime of the certificates: set it to less than {}",
                crate::agent::platform::Rounded(lifetime)
            ));
            not_after
        });
        let target = context.dialler.to_resource(&identity, protocol).map_err(TunnelError::Roots)?;
        Ok(ResourceAccess { target, not_after, replace_at })
    }
}

/// Returns when a certificate must be replaced, or `None` if that is the case from the beginning.
fn replace_at(not_after: SystemTime, lifetime: Duration, leeway: GoDuration) -> Option<SystemTime> {
    if leeway.is_negative() {
        return Some(not_after + leeway.unsigned_abs());
    }
    (leeway.to_std() < lifetime).then(|| not_after - leeway.to_std())
}

fn app_protocol(uri: &str) -> &'static str {
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
    fn a_certificate_is_replaced_before_it_expires_unless_the_leeway_is_too_long() {
        let (expiry, minute) = (SystemTime::UNIX_EPOCH + Duration::from_secs(3600), Duration::from_secs(60));
        let at = |leeway| replace_at(expiry, minute, GoDuration::from_secs(leeway));
        assert_eq!(at(10), Some(expiry - Duration::from_secs(10)));
        assert_eq!(at(-10), Some(expiry + Duration::from_secs(10)));
        assert_eq!(at(60), None);
    }

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
