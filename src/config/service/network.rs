//! Local network access for clients without credentials: `application-tunnel`, `application-proxy`, `database-tunnel`,
//! `beams/vnet`.

use super::common::{CredentialLifetime, Roles, ServiceFields, service};
use crate::config::map::map;
use crate::config::scalar::{Identifier, Location};

service! {
    lifetime
    /// A listener that forwards connections to one application. Its clients need no credentials and act as the bot. Not
    /// available in oneshot mode.
    pub struct ApplicationTunnelService {
        /// The address to listen on, as `tcp://ip:port` or `unix:///path`.
        #[schemars(example = "tcp://127.0.0.1:8084")]
        pub listen: Location,
        /// The name of the application.
        pub app_name: Identifier,
        /// The ID of a delegation session. The bot acts on behalf of its user.
        #[unsupported = "credentials for a delegation session"]
        pub delegation_session_id: Option<Identifier>,
        pub roles: Option<Roles>,
    }
    roles
}

service! {
    lifetime
    /// A listener that forwards connections to one database. Its clients need no credentials and act as the bot. They must
    /// connect without TLS. Not available in oneshot mode.
    pub struct DatabaseTunnelService {
        /// The address to listen on, as `tcp://ip:port` or `unix:///path`.
        #[schemars(example = "tcp://127.0.0.1:5432")]
        pub listen: Location,
        /// The name of the database service in the cluster.
        pub service: Identifier,
        /// The name of the database on the database server.
        pub database: Identifier,
        /// The database user to log in as.
        pub username: Identifier,
        pub roles: Option<Roles>,
    }
    roles
}

map! {
    /// A listener that forwards each HTTP request to the application that it names as its host, such as `http://grafana/`. Its
    /// clients need no credentials and act as the bot. Not available in oneshot mode.
    pub struct ApplicationProxyService {
        /// The address to listen on, as `tcp://ip:port` or `unix:///path`.
        #[schemars(example = "tcp://127.0.0.1:8080")]
        pub listen: Location,
        /// The ID of a delegation session. The bot acts on behalf of its user.
        #[unsupported = "credentials for a delegation session"]
        pub delegation_session_id: Option<Identifier>,
        /// The lifetime of the service's credentials. Unlike other types, this one nests `credential_ttl` and
        /// `renewal_interval` in this map.
        pub credential_lifetime: Option<CredentialLifetime>,
        /// The name in logs and health checks. Allowed characters: `a-z`, `0-9`, `_`, `-` and `+`. If unset, it is
        /// generated, such as `application-proxy-1`.
        pub name: Option<Identifier>,
    }
}

impl ServiceFields for ApplicationProxyService {
    fn name(&self) -> Option<&Identifier> {
        self.name.as_ref()
    }

    fn lifetime(&self) -> CredentialLifetime {
        self.credential_lifetime.unwrap_or_default()
    }

    fn lifetime_key(&self) -> Option<&'static str> {
        Some("credential_lifetime")
    }
}

service! {
    lifetime
    /// A virtual network through which local programs reach everything that a delegation session gives access to.
    pub struct BeamsVnetService {
        /// The ID of a delegation session. The bot acts on behalf of its user.
        pub delegation_session_id: Identifier,
        /// The name servers for names outside the virtual network, as `ip:port`. If unset, those in `/etc/resolv.conf`
        /// are used.
        #[schemars(extend("x-sensitivity" = "tuning"))]
        #[schemars(extend("examples" = [["192.0.2.53:53"]]))]
        pub upstream_nameservers: Option<Vec<Location>>,
    }
}
