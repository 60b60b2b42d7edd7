//! SSH: `ssh_host` and `ssh-multiplexer`.

use super::service;
use crate::config::closed::string_enum;
use crate::config::{Identifier, Location, Roles, Switch};

service! {
    output
    /// A host key and certificate for an OpenSSH server.
    pub struct SshHost {
        /// Host names that the certificate is for; at least one.
        #[schemars(extend("x-sensitivity" = "tuning"))]
        #[schemars(extend("examples" = [["nodename.my.domain"]]))]
        pub principals: Vec<Identifier>,
        /// Which certificate authority's keys are written for the server to trust.
        #[schemars(extend("default" = "user"))]
        pub ca_type: Option<SshCaType>,
        pub roles: Option<Roles>,
    }
    roles
}

string_enum! {
    /// A certificate authority that an OpenSSH server may trust.
    #[sensitivity = Tuning]
    pub enum SshCaType {
        /// The one of users' certificates.
        User = "user",
        /// The one that the cluster uses towards OpenSSH servers.
        Openssh = "openssh",
    }
}

service! {
    lifetime
    /// A socket that carries many SSH connections over few, for a directory; not in one-shot mode.
    pub struct SshMultiplexer {
        /// Directory of the socket and its configuration; no other destination will do.
        pub destination: crate::config::Destination,
        /// Whether connections are resumed when they break.
        #[schemars(extend("default" = true))]
        pub enable_resumption: Option<Switch>,
        /// Program and arguments of the `ProxyCommand`; unset, this program.
        #[schemars(extend("x-sensitivity" = "tuning"))]
        pub proxy_command: Option<Vec<Location>>,
        /// Path of a file with proxy templates.
        pub proxy_templates_path: Option<Location>,
        /// Address of a relay, as `host` or `host:port`.
        pub relay_server: Option<Location>,
        /// Session of a human user to act for.
        pub delegation_session_id: Option<Identifier>,
    }
}
