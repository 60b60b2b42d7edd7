//! `beams/vnet`.

use super::service;
use crate::config::{Identifier, Location};

service! {
    lifetime
    /// A virtual network that reaches what a human user's session may reach.
    pub struct BeamsVnet {
        /// Session of a human user to act for.
        pub delegation_session_id: Identifier,
        /// Name servers to ask for all other names, as `ip:port`; unset, those of `/etc/resolv.conf`.
        #[schemars(extend("x-sensitivity" = "tuning"))]
        #[schemars(extend("examples" = [["192.0.2.53:53"]]))]
        pub upstream_nameservers: Option<Vec<Location>>,
    }
}
