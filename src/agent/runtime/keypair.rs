//! Generates key pairs for the join method `bound_keypair` before the bot joins, so that their public keys can be registered.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::error::AgentError;
use super::setup::{AgentOptions, ServerPlan, open_storage};
use crate::agent::bot::bound_keypair::static_key;
use crate::agent::bot::bound_keys::new_bound_key;
use crate::agent::bot::renewal::RenewalError;
use crate::agent::bot::storage::StorageError;
use crate::agent::credential::keys::{KeyError, KeyPair};
use crate::agent::destination::target::WriteTarget;
use crate::agent::platform::reminders::RecurringWarnings;
use crate::agent::platform::tasks::run_blocking;
use crate::agent::teleport::discovery;
use crate::config::Config;

/// A key pair whose public key is to be registered in a join token. Its `Debug` output does not contain the private key.
#[derive(Clone)]
pub struct BoundKeypair {
    key: Arc<KeyPair>,
    is_new: bool,
}

impl BoundKeypair {
    /// Returns the key pair in the storage of `config`. Generates one if there is none, or with `overwrite`; the previous one then
    /// stays in the history. The type of the key is what the cluster prefers.
    ///
    /// # Errors
    ///
    /// Returns an error if the proxy cannot be reached, if the storage cannot be used, or if an agent uses it.
    pub async fn in_storage(
        config: &Config,
        options: &AgentOptions,
        overwrite: bool,
    ) -> Result<Self, AgentError> {
        let target = WriteTarget::new(&config.storage(), &options.environment, &options.clock);
        let target = target.map_err(StorageError::from)?;
        let storage = open_storage(target, RecurringWarnings::new(options.clock.clone())).await?;
        let (storage, keys) = run_blocking(move || storage.load_keys().map(|keys| (storage, keys))).await?;
        if let Some(key) = keys.active().filter(|_| !overwrite) {
            return Ok(Self { key: Arc::clone(key), is_new: false });
        }
        let key = generate(config, options).await?;
        let mut keys = keys;
        keys.add(Arc::clone(&key), options.clock.now());
        keys.activate(Arc::clone(&key));
        run_blocking(move || storage.save_keys(&keys)).await?;
        Ok(Self { key, is_new: true })
    }

    /// Generates a static key pair, which is stored nowhere.
    ///
    /// # Errors
    ///
    /// Returns an error if the proxy cannot be reached.
    pub async fn new_static(config: &Config, options: &AgentOptions) -> Result<Self, AgentError> {
        Ok(Self { key: generate(config, options).await?, is_new: true })
    }

    /// Returns the static key pair that was generated before, from its private key in PEM.
    ///
    /// # Errors
    ///
    /// Returns an error if a bot cannot join with it.
    pub fn from_static_pem(pem: &str) -> Result<Self, KeyError> {
        Ok(Self { key: Arc::new(static_key(pem)?), is_new: false })
    }

    /// Returns false if the key pair was generated before.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Returns the public key as an authorized_keys line, without a newline.
    ///
    /// # Errors
    ///
    /// Returns an error if a stored key has a type that SSH does not know.
    pub fn public_key(&self) -> Result<String, AgentError> {
        let line = self.key.ssh_line().map_err(StorageError::from)?;
        Ok(line.trim_end().to_owned())
    }

    /// Returns the private key in PEM.
    #[must_use]
    pub fn private_pem(&self) -> &str {
        self.key.private_pem()
    }

    /// Returns the private key as the environment variable `TBOT_BOUND_KEYPAIR_STATIC_KEY` must contain it.
    #[must_use]
    pub fn private_variable(&self) -> String {
        STANDARD.encode(self.private_pem())
    }
}

impl fmt::Debug for BoundKeypair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BoundKeypair(...)")
    }
}

/// Generates a key pair of the type that the cluster prefers.
async fn generate(config: &Config, options: &AgentOptions) -> Result<Arc<KeyPair>, AgentError> {
    let ServerPlan { address_field, dialler } = ServerPlan::new(config, options)?;
    let server = discovery::discover(&dialler, address_field).await.map_err(RenewalError::from)?;
    let key = new_bound_key(server.signature_algorithm_suite()).map_err(StorageError::from)?;
    Ok(Arc::new(key))
}
