//! The `database` output: credentials for one database, in the files that database clients expect.

use super::error::OutputError;
use super::files::{FileSet, ca_pem};
use super::issue::{ImpersonatedIdentity, Issuer};
use super::lookup::{ResourceKind, pick};
use crate::agent::teleport::auth_client::RouteTo;
use crate::agent::teleport::messages::RouteToDatabase;
use crate::config::{DatabaseFormat, DatabaseService, OptionalString as _};

#[derive(Clone, Debug)]
pub(crate) struct DatabaseOutput {
    service: String,
    /// May be empty; then the client chooses the database.
    database: String,
    /// May be empty; then the client chooses the user.
    username: String,
    format: DatabaseFormat,
}

impl DatabaseOutput {
    pub(crate) fn new(service: &DatabaseService) -> Self {
        let DatabaseService {
            destination: _,
            service,
            database,
            username,
            format,
            name: _,
            credential_ttl: _,
            certificate_ttl: _,
            renewal_interval: _,
            roles: _,
        } = service;
        Self {
            service: service.as_str().to_owned(),
            database: database.nonempty().unwrap_or_default().to_owned(),
            username: username.nonempty().unwrap_or_default().to_owned(),
            format: format.unwrap_or(DatabaseFormat::Plain),
        }
    }

    pub(super) async fn issue(&self, issuer: &Issuer<'_>) -> Result<FileSet, OutputError> {
        let impersonated = issuer.impersonate().await?;
        let route =
            route_to_database(issuer, &impersonated, &self.service, &self.database, &self.username).await?;
        if route.username.is_empty() && route.protocol == "mongodb" {
            issuer.warn("a MongoDB database needs a user: set username");
        }
        let identity = issuer.issue_for(&impersonated, RouteTo::Database(route)).await?;
        let authorities = issuer.authorities().await?;
        let mut files = FileSet::with_all_cas(&identity, &authorities)?;
        let (key, leaf) = (identity.key.private_pem(), identity.certs.tls.as_str());
        match self.format {
            DatabaseFormat::Plain => {}
            DatabaseFormat::Tls => files.push_tls(&identity, &authorities.host),
            DatabaseFormat::Mongo => {
                files.push("mongo.crt", format!("{leaf}{key}"));
                files.push("mongo.cas", ca_pem(&authorities.database));
            }
            DatabaseFormat::Cockroach => {
                files.push("cockroach/node.key", key);
                files.push("cockroach/node.crt", leaf);
                files.push("cockroach/ca.crt", ca_pem(&authorities.database));
            }
        }
        Ok(files)
    }
}

/// Returns the route to the database service with this name, for a database and a user of it.
pub(super) async fn route_to_database(
    issuer: &Issuer<'_>,
    impersonated: &ImpersonatedIdentity,
    service: &str,
    database: &str,
    username: &str,
) -> Result<RouteToDatabase, OutputError> {
    let client = issuer.client_as(impersonated)?;
    let found = pick(ResourceKind::Database, service, client.find_databases(service).await?)?;
    Ok(RouteToDatabase {
        username: username_or_default(username, &found.detail).to_owned(),
        service_name: found.name,
        protocol: found.detail,
        database: database.to_owned(),
    })
}

/// Returns the user, which may be empty. Redis has a default user.
fn username_or_default<'a>(username: &'a str, protocol: &str) -> &'a str {
    if username.is_empty() && protocol == "redis" { "default" } else { username }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_redis_has_a_default_user() {
        assert_eq!(username_or_default("", "redis"), "default");
        assert_eq!(username_or_default("alice", "redis"), "alice");
        assert_eq!(username_or_default("", "postgres"), "");
    }
}
