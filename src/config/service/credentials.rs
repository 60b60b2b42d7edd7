//! Outputs that write credentials for one kind of access: `identity`, `application`, `database`, and `identity/key-agent`.

use super::service;
use crate::config::closed::string_enum;
use crate::config::{Identifier, Roles, Switch};

service! {
    output
    /// Credentials to reach the cluster with `tsh`, `tctl`, OpenSSH or the API.
    pub struct Identity {
        /// Leaf cluster that the credentials are for; unset, the root cluster.
        pub cluster: Option<Identifier>,
        /// Whether `ssh_config` and `known_hosts` are written, for a directory.
        #[schemars(extend("default" = "on"))]
        pub ssh_config: Option<SshConfigMode>,
        /// Whether the credentials may be used to get others.
        #[schemars(extend("default" = false))]
        pub allow_reissue: Option<Switch>,
        /// Session of a human user to act for.
        pub delegation_session_id: Option<Identifier>,
        pub roles: Option<Roles>,
    }
    roles
}

string_enum! {
    /// Whether an identity output writes `ssh_config` and `known_hosts`.
    #[sensitivity = Tuning]
    pub enum SshConfigMode {
        /// Write them.
        On = "on",
        /// Leave them out.
        Off = "off",
    }
}

service! {
    lifetime
    /// An SSH agent that holds the bot's credentials, reached by a socket in a directory.
    pub struct KeyAgent {
        /// Directory of the socket; no other destination will do.
        pub destination: crate::config::Destination,
        /// Leaf cluster that the credentials are for; unset, the root cluster.
        pub cluster: Option<Identifier>,
        /// Whether the credentials may be used to get others.
        #[schemars(extend("default" = false))]
        pub allow_reissue: Option<Switch>,
        /// Session of a human user to act for. Excludes `roles`.
        pub delegation_session_id: Option<Identifier>,
        pub roles: Option<Roles>,
    }
    roles
}

service! {
    output
    /// Credentials for one application.
    pub struct Application {
        /// Name of the application.
        pub app_name: Identifier,
        /// Whether `tls.crt`, `tls.key` and `tls.cas` are written too.
        #[schemars(extend("default" = false))]
        pub specific_tls_naming: Option<Switch>,
        /// Session of a human user to act for.
        pub delegation_session_id: Option<Identifier>,
        pub roles: Option<Roles>,
    }
    roles
}

service! {
    output
    /// Credentials for one database.
    pub struct Database {
        /// Name of the database service in the cluster.
        pub service: Identifier,
        /// Name of the database on its server.
        pub database: Option<Identifier>,
        /// User to log in as.
        pub username: Option<Identifier>,
        /// Which further files are written, for clients that want them named so.
        pub format: Option<DatabaseFormat>,
        pub roles: Option<Roles>,
    }
    roles
}

string_enum! {
    /// Which further files a database output writes.
    #[sensitivity = Tuning]
    pub enum DatabaseFormat {
        /// None.
        Plain = "",
        /// `tls.crt`, `tls.key`, `tls.cas`.
        Tls = "tls",
        /// `mongo.crt`, `mongo.cas`.
        Mongo = "mongo",
        /// `cockroach/node.crt`, `cockroach/node.key`, `cockroach/ca.crt`.
        Cockroach = "cockroach",
    }
}
