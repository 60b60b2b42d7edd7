//! The `database` output: credentials for one database, in the files that database clients expect.

use super::error::OutputError;
use super::files::{FileSet, ca_pem};
use super::issue::Issuer;
use super::lookup::{ResourceKind, pick};
use crate::agent::teleport::auth_client::RouteTo;
use crate::agent::teleport::messages::RouteToDatabase;
use crate::config::DatabaseFormat;

#[derive(Clone, Debug)]
pub(crate) struct DatabaseOutput {
    pub(crate) service: String,
    /// May be empty; then the client chooses the database.
    pub(crate) database: String,
    /// May be empty; then the client chooses the user.
    pub(crate) username: String,
    pub(crate) format: DatabaseFormat,
}

impl DatabaseOutput {
    pub(super) async fn issue(&self, issuer: &Issuer<'_>) -> Result<FileSet, OutputError> {
        let impersonated = issuer.impersonate(false).await?;
        let client = issuer.connect_as(&impersonated).await?;
        let database =
            pick(ResourceKind::Database, &self.service, client.find_databases(&self.service).await?)?;
        let route = self.route(database.name, &database.detail);
        if route.username.is_empty() && database.detail == "mongodb" {
            issuer.warn("a MongoDB database needs a user: set username");
        }
        let identity = issuer.issue_for(&impersonated, false, RouteTo::Database(route)).await?;
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

    /// Returns the route to the database. Redis has a default user.
    fn route(&self, service_name: String, protocol: &str) -> RouteToDatabase {
        let mut username = self.username.clone();
        if username.is_empty() && protocol == "redis" {
            "default".clone_into(&mut username);
        }
        RouteToDatabase {
            service_name,
            protocol: protocol.to_owned(),
            username,
            database: self.database.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_redis_has_a_default_user() {
        let database = |username: &str| DatabaseOutput {
            service: "db".to_owned(),
            database: String::new(),
            username: username.to_owned(),
            format: DatabaseFormat::Plain,
        };
        let user =
            |username: &str, protocol: &str| database(username).route("db".to_owned(), protocol).username;
        assert_eq!(user("", "redis"), "default");
        assert_eq!(user("alice", "redis"), "alice");
        assert_eq!(user("", "postgres"), "");
    }
}
