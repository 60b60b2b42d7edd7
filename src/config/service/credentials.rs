//! Credentials for the cluster, an application or a database: `identity`, `identity/key-agent`, `application`,
//! `database`.

use super::common::{Roles, service};
use crate::config::closed_types::{self, string_enum};
use crate::config::scalar::{Identifier, Switch};

service! {
    output
    /// Credentials for accessing the cluster with `tsh`, `tctl`, OpenSSH or the API.
    pub struct IdentityService {
        /// The leaf cluster for which to issue credentials. If unset, the root cluster is used.
        pub cluster: Option<Identifier>,
        /// Whether to write `known_hosts` and, to a directory, `ssh_config`, and both for each cluster as well.
        #[schemars(extend("default" = "on"))]
        #[serde(default, deserialize_with = "closed_types::unless_empty")]
        pub ssh_config: Option<SshConfigMode>,
        /// Allows the credentials to be used to request further credentials.
        #[schemars(extend("default" = false))]
        pub allow_reissue: Option<Switch>,
        /// The ID of a delegation session. The bot acts on behalf of its user.
        #[unsupported = "credentials for a delegation session"]
        pub delegation_session_id: Option<Identifier>,
        pub roles: Option<Roles>,
    }
    roles
}

string_enum! {
    /// Whether an `identity` service writes `ssh_config` and `known_hosts`.
    #[sensitivity = Tuning]
    pub enum SshConfigMode {
        /// Write them.
        On = "on",
        /// Do not write them.
        Off = "off",
    }
}

service! {
    socket
    /// An SSH agent with the bot's credentials that listens on a socket in a directory.
    pub struct KeyAgentService {
        /// The directory in which to create the socket. Must be of `type: directory`.
        pub destination: crate::config::destination::Destination,
        /// The leaf cluster for which to issue credentials. If unset, the root cluster is used.
        pub cluster: Option<Identifier>,
        /// Allows the credentials to be used to request further credentials.
        #[schemars(extend("default" = false))]
        pub allow_reissue: Option<Switch>,
        /// The ID of a delegation session. The bot acts on behalf of its user. Conflicts with `roles`.
        pub delegation_session_id: Option<Identifier>,
        pub roles: Option<Roles>,
    }
    roles
}

service! {
    output
    /// Credentials for accessing one application.
    pub struct ApplicationService {
        /// The name of the application.
        pub app_name: Identifier,
        /// Also writes the credentials as `tls.crt`, `tls.key` and `tls.cas`.
        #[schemars(extend("default" = false))]
        pub specific_tls_naming: Option<Switch>,
        /// The ID of a delegation session. The bot acts on behalf of its user.
        #[unsupported = "credentials for a delegation session"]
        pub delegation_session_id: Option<Identifier>,
        pub roles: Option<Roles>,
    }
    roles
}

service! {
    output
    /// Credentials for accessing one database.
    pub struct DatabaseService {
        /// The name of the database service in the cluster.
        pub service: Identifier,
        /// The name of the database on the database server.
        pub database: Option<Identifier>,
        /// The database user to log in as.
        pub username: Option<Identifier>,
        /// The additional files to write, for clients that expect specific file names.
        #[serde(default, deserialize_with = "closed_types::unless_empty")]
        pub format: Option<DatabaseFormat>,
        pub roles: Option<Roles>,
    }
    roles
}

string_enum! {
    /// The additional files that a `database` service writes.
    #[sensitivity = Tuning]
    pub enum DatabaseFormat {
        /// No additional files.
        Plain = "",
        /// `tls.crt`, `tls.key`, `tls.cas`.
        Tls = "tls",
        /// `mongo.crt`, `mongo.cas`.
        Mongo = "mongo",
        /// `cockroach/node.crt`, `cockroach/node.key`, `cockroach/ca.crt`.
        Cockroach = "cockroach",
    }
}
