//! The phases of a certificate authority's rotation.

use std::fmt;

/// A phase of a rotation, named as in `tctl auth rotate --manual --phase=…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// New keys exist and are trusted.
    Init,
    /// The new keys sign; servers still present certificates of the old ones.
    UpdateClients,
    /// Servers present certificates of the new keys.
    UpdateServers,
    /// The rotation is over; only the current keys are trusted.
    Standby,
    /// The old keys sign again; the new ones are still trusted.
    Rollback,
}

impl Phase {
    /// Returns the name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::UpdateClients => "update_clients",
            Self::UpdateServers => "update_servers",
            Self::Standby => "standby",
            Self::Rollback => "rollback",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
