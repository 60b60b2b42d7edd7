//! The `database` output: credentials that lead to one database, in the form that its clients want.

use super::error::OutputError;
use super::files::{Set, pems};
use super::issue::Issuer;
use super::lookup::{ResourceKind, pick};
use crate::agent::teleport::auth_client::RouteTo;
use crate::agent::teleport::messages::RouteToDatabase;

#[derive(Clone, Debug)]
pub(crate) struct DatabaseOutput {
    pub(crate) service: String,
    /// May be empty, like the user: then the client says it.
    pub(crate) database: String,
    pub(crate) username: String,
    pub(crate) format: Format,
}

/// Which further files are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Plain,
    Tls,
    Mongo,
    Cockroach,
}

impl DatabaseOutput {
    pub(super) async fn set(&self, issuer: &Issuer<'_>) -> Result<Set, OutputError> {
        let unrouted = issuer.impersonated(false).await?;
        let client = issuer.client_of(&unrouted).await?;
        let found = pick(ResourceKind::Database, &self.service, client.find_databases(&self.service).await?)?;
        let route = self.route(found.name, found.detail, &issuer.settings.name);
        let identity = issuer.routed(&unrouted, false, RouteTo::Database(route)).await?;
        let authorities = issuer.authorities().await?;
        let mut set = Set::of_identity(&identity, &authorities)?;
        let (key, leaf) = (identity.key.private_pem(), identity.certs.tls.as_str());
        match self.format {
            Format::Plain => {}
            Format::Tls => set.push_tls(&identity, &authorities.host),
            Format::Mongo => {
                set.push("mongo.crt", format!("{leaf}{key}"));
                set.push("mongo.cas", pems(&authorities.database));
            }
            Format::Cockroach => {
                set.push("cockroach/node.key", key);
                set.push("cockroach/node.crt", leaf);
                set.push("cockroach/ca.crt", pems(&authorities.database));
            }
        }
        Ok(set)
    }

    /// Redis has a user of its own for those who name none; MongoDB always wants one named.
    fn route(&self, service_name: String, protocol: String, output: &str) -> RouteToDatabase {
        let mut username = self.username.clone();
        if username.is_empty() && protocol == "redis" {
            "default".clone_into(&mut username);
        }
        if username.is_empty() && protocol == "mongodb" {
            tracing::warn!(output, "a MongoDB database wants a user: set username");
        }
        RouteToDatabase { service_name, protocol, username, database: self.database.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redis_has_a_default_user_and_others_have_none() {
        let database = |username: &str| DatabaseOutput {
            service: "db".to_owned(),
            database: String::new(),
            username: username.to_owned(),
            format: Format::Plain,
        };
        let user = |username: &str, protocol: &str| {
            database(username).route("db".to_owned(), protocol.to_owned(), "database-1").username
        };
        assert_eq!(user("", "redis"), "default");
        assert_eq!(user("alice", "redis"), "alice");
        assert_eq!(user("", "postgres"), "");
    }
}
