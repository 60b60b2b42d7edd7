//! An authority in rotation: which keys sign, which are trusted beside them, which of them the servers show. Decides
//! nothing about certificates; depends on [`crate::ca`] for keys.
//!
//! | phase | signs | trusted | servers show |
//! | --- | --- | --- | --- |
//! | (none), `standby` | old | old | old |
//! | `init` | old | old, new | old |
//! | `update_clients` | new | new, old | old |
//! | `update_servers` | new | new, old | new |
//! | `standby` | new | new | new |
//! | `rollback`, from any but `standby` | old | old, new | old |

use std::fmt;
use std::sync::Arc;

use crate::ca::TlsAuthority;
use crate::error::Error;
use crate::jwt::JwtKey;
use crate::proto::Rotation;
use crate::ssh::SshKey;

/// A step of a rotation, as `tctl auth rotate --manual --phase=…` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Init,
    UpdateClients,
    UpdateServers,
    Standby,
    Rollback,
}

impl Phase {
    /// The name on the wire.
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

/// The parts of an authority, of which some have one only.
pub(crate) struct Keys {
    pub(crate) tls: Option<TlsAuthority>,
    pub(crate) ssh: Option<SshKey>,
    /// Signs tokens.
    pub(crate) jwt: Option<JwtKey>,
}

/// An authority and where it stands.
pub(crate) struct Authority {
    /// What signs.
    pub(crate) active: Arc<Keys>,
    /// What is trusted beside it.
    pub(crate) additional: Option<Arc<Keys>>,
    /// What has signed the certificates that servers show.
    pub(crate) serving: Arc<Keys>,
    phase: Option<Phase>,
    /// A swap has happened, and a rollback undoes it.
    swapped: bool,
}

impl Authority {
    pub(crate) fn new(keys: Keys) -> Self {
        let active = Arc::new(keys);
        Self { serving: Arc::clone(&active), active, additional: None, phase: None, swapped: false }
    }

    /// The keys that verify: those that sign first.
    pub(crate) fn trusted(&self) -> impl Iterator<Item = &Keys> {
        std::iter::once(&self.active).chain(&self.additional).map(AsRef::as_ref)
    }

    /// The X.509 halves of the keys that verify.
    pub(crate) fn trusted_tls(&self) -> impl Iterator<Item = &TlsAuthority> {
        self.trusted().filter_map(|keys| keys.tls.as_ref())
    }

    /// What the wire says of the rotation; nothing before the first one.
    pub(crate) fn rotation(&self) -> Option<Rotation> {
        let phase = self.phase?;
        let state = if phase == Phase::Standby { "standby" } else { "in_progress" };
        Some(Rotation {
            state: state.to_owned(),
            phase: phase.as_str().to_owned(),
            mode: "manual".to_owned(),
        })
    }

    /// Goes on to `phase`; `new` makes the keys that `init` brings in.
    pub(crate) fn enter(
        &mut self,
        phase: Phase,
        new: impl FnOnce() -> Result<Keys, Error>,
    ) -> Result<(), Error> {
        match (self.phase, phase) {
            (None | Some(Phase::Standby), Phase::Init) => self.additional = Some(Arc::new(new()?)),
            (Some(Phase::Init), Phase::UpdateClients) => self.swap(),
            (Some(Phase::UpdateClients), Phase::UpdateServers) => self.serving = Arc::clone(&self.active),
            (Some(Phase::UpdateServers | Phase::Rollback), Phase::Standby) => {
                self.additional = None;
                self.swapped = false;
            }
            (Some(Phase::Init | Phase::UpdateClients | Phase::UpdateServers), Phase::Rollback) => {
                if self.swapped {
                    self.swap();
                }
                self.serving = Arc::clone(&self.active);
            }
            (from, to) => return Err(Error::Rotation { from, to }),
        }
        self.phase = Some(phase);
        Ok(())
    }

    fn swap(&mut self) {
        if let Some(additional) = &mut self.additional {
            std::mem::swap(&mut self.active, additional);
            self.swapped = !self.swapped;
        }
    }
}
