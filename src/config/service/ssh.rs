//! SSH: `ssh_host` and `ssh-multiplexer`.

use super::common::{Roles, service};
use crate::config::closed_types::{self, string_enum};
use crate::config::scalar::{Identifier, Location, Switch};

service! {
    output
    /// A host key and certificate for an OpenSSH server.
    pub struct SshHostService {
        /// The host names for which the certificate is valid. At least one is required.
        #[schemars(extend("x-sensitivity" = "tuning"))]
        #[schemars(extend("examples" = [["nodename.my.domain"]]))]
        pub principals: Vec<Identifier>,
        /// The certificate authority that the server must trust. Its public keys are written next to the certificate.
        #[schemars(extend("default" = "user"))]
        #[serde(default, deserialize_with = "closed_types::unless_empty")]
        pub ca_type: Option<SshCaType>,
        pub roles: Option<Roles>,
    }
    roles
}

string_enum! {
    /// A certificate authority that an OpenSSH server can trust.
    #[sensitivity = Tuning]
    pub enum SshCaType {
        /// The certificate authority that issues user certificates.
        User = "user",
        /// The certificate authority with which the cluster authenticates to OpenSSH servers.
        Openssh = "openssh",
    }
}

service! {
    socket
    /// A socket that multiplexes many SSH connections over a few connections to the cluster. Not available in oneshot
    /// mode.
    pub struct SshMultiplexerService {
        /// The directory in which to create the socket and its configuration. Must be of `type: directory`.
        pub destination: crate::config::destination::Destination,
        /// Resumes connections that are interrupted.
        #[schemars(extend("default" = true))]
        pub enable_resumption: Option<Switch>,
        /// The command to use as the SSH `ProxyCommand`: a program and its arguments. If unset, `tbot` is used.
        #[schemars(extend("x-sensitivity" = "tuning"))]
        pub proxy_command: Option<Vec<Location>>,
        /// The path of a file with proxy templates.
        pub proxy_templates_path: Option<Location>,
        /// The address of a relay, as `host` or `host:port`.
        pub relay_server: Option<Location>,
        /// The ID of a delegation session. The bot acts on behalf of its user.
        pub delegation_session_id: Option<Identifier>,
    }
}
