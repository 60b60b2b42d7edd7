//! A certificate authority and its rotation: which keys sign, which others are trusted, and which have signed the
//! certificates that servers present.
//!
//! | phase | signs | trusted | servers present |
//! | --- | --- | --- | --- |
//! | (none), `standby` | old | old | old |
//! | `init` | old | old, new | old |
//! | `update_clients` | new | new, old | old |
//! | `update_servers` | new | new, old | new |
//! | `standby` | new | new | new |
//! | `rollback`, from any phase but `standby` | old | old, new | old |

use std::sync::Arc;

use crate::error::Error;
use crate::jwt::JwtKey;
use crate::phase::Phase;
use crate::proto::Rotation;
use crate::ssh::SshKey;
use crate::tls_authority::TlsAuthority;

/// The keys of a certificate authority. Which of them exist depends on the authority.
pub(crate) struct AuthorityKeys {
    pub(crate) tls: Option<TlsAuthority>,
    pub(crate) ssh: Option<SshKey>,
    /// Signs JWT SVIDs.
    pub(crate) jwt: Option<JwtKey>,
}

impl AuthorityKeys {
    pub(crate) fn tls(&self) -> Result<&TlsAuthority, Error> {
        self.tls.as_ref().ok_or(Error::MissingKey("TLS"))
    }

    pub(crate) fn ssh(&self) -> Result<&SshKey, Error> {
        self.ssh.as_ref().ok_or(Error::MissingKey("SSH"))
    }

    pub(crate) fn jwt(&self) -> Result<&JwtKey, Error> {
        self.jwt.as_ref().ok_or(Error::MissingKey("JWT"))
    }
}

/// A certificate authority.
pub(crate) struct Authority {
    /// The keys that sign.
    pub(crate) active: Arc<AuthorityKeys>,
    /// Keys that are trusted but do not sign.
    pub(crate) additional: Option<Arc<AuthorityKeys>>,
    /// The keys that have signed the certificates of servers.
    pub(crate) serving: Arc<AuthorityKeys>,
    phase: Option<Phase>,
    /// Whether the new keys sign, which a rollback undoes.
    swapped: bool,
}

impl Authority {
    pub(crate) fn new(keys: AuthorityKeys) -> Self {
        let active = Arc::new(keys);
        Self { serving: Arc::clone(&active), active, additional: None, phase: None, swapped: false }
    }

    /// Returns the trusted keys, those that sign first.
    pub(crate) fn trusted(&self) -> impl Iterator<Item = &AuthorityKeys> {
        std::iter::once(&self.active).chain(&self.additional).map(AsRef::as_ref)
    }

    /// Returns the X.509 halves of the trusted keys, the signing one first.
    pub(crate) fn trusted_tls(&self) -> impl Iterator<Item = &TlsAuthority> {
        self.trusted().filter_map(|keys| keys.tls.as_ref())
    }

    /// Returns the state of the rotation as a message, or `None` before the first rotation.
    pub(crate) fn rotation(&self) -> Option<Rotation> {
        let phase = self.phase?;
        let state = if phase == Phase::Standby { "standby" } else { "in_progress" };
        Some(Rotation {
            state: state.to_owned(),
            phase: phase.as_str().to_owned(),
            mode: "manual".to_owned(),
        })
    }

    /// Moves to `phase`. The phase `init` adds the keys that `generate` returns.
    ///
    /// # Errors
    ///
    /// Returns an error if `phase` cannot follow the current phase, or the error of `generate`.
    pub(crate) fn enter(
        &mut self,
        phase: Phase,
        generate: impl FnOnce() -> Result<AuthorityKeys, Error>,
    ) -> Result<(), Error> {
        match (self.phase, phase) {
            (None | Some(Phase::Standby), Phase::Init) => self.additional = Some(Arc::new(generate()?)),
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
            (from, to) => return Err(Error::InvalidPhase { from, to }),
        }
        self.phase = Some(phase);
        Ok(())
    }

    /// Swaps the signing keys with the other trusted ones.
    fn swap(&mut self) {
        if let Some(additional) = &mut self.additional {
            std::mem::swap(&mut self.active, additional);
            self.swapped = !self.swapped;
        }
    }
}
