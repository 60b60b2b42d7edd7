//! Listeners for clients that have no credentials: `application-tunnel`, `application-proxy`, `database-tunnel`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Lifetime, ServiceFields, service};
use crate::config::{GoDuration, Identifier, Location, Roles};

service! {
    lifetime
    /// A listener that forwards to one application; not in one-shot mode.
    pub struct ApplicationTunnel {
        /// Where to listen.
        #[schemars(example = "tcp://127.0.0.1:8084")]
        pub listen: Location,
        /// Name of the application.
        pub app_name: Identifier,
        /// Session of a human user to act for.
        pub delegation_session_id: Option<Identifier>,
        pub roles: Option<Roles>,
    }
    roles
}

service! {
    lifetime
    /// A listener that forwards to one database; not in one-shot mode.
    pub struct DatabaseTunnel {
        /// Where to listen.
        #[schemars(example = "tcp://127.0.0.1:5432")]
        pub listen: Location,
        /// Name of the database service in the cluster.
        pub service: Identifier,
        /// Name of the database on its server.
        pub database: Identifier,
        /// User to log in as.
        pub username: Identifier,
        pub roles: Option<Roles>,
    }
    roles
}

/// An HTTP proxy in front of all applications; not in one-shot mode.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplicationProxy {
    /// Where to listen.
    #[schemars(example = "tcp://127.0.0.1:8080")]
    pub listen: Location,
    /// Session of a human user to act for.
    pub delegation_session_id: Option<Identifier>,
    /// How long the credentials live; nested here, unlike in every other type.
    pub credential_lifetime: Option<CredentialLifetime>,
    /// Name of the service, for logs and health: `a-z`, `0-9`, `_`, `-`, `+`. Unset, its type and a number.
    pub name: Option<Identifier>,
}

/// How long credentials live and how often they are renewed: both or neither.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct CredentialLifetime {
    /// How long the credentials live.
    #[schemars(example = "1h")]
    pub credential_ttl: Option<GoDuration>,
    /// How often they are renewed.
    #[schemars(example = "20m")]
    pub renewal_interval: Option<GoDuration>,
}

impl ServiceFields for ApplicationProxy {
    fn name(&self) -> Option<&Identifier> {
        self.name.as_ref()
    }

    fn lifetime(&self) -> Lifetime {
        self.credential_lifetime.as_ref().map_or_else(Lifetime::default, |lifetime| Lifetime {
            credential_ttl: lifetime.credential_ttl,
            renewal_interval: lifetime.renewal_interval,
        })
    }
}
