//! Signs SSH certificates. Those of users encode the same identity as the X.509 certificate, as extensions; those of
//! hosts name the cluster. Makes no access decisions.

use std::time::SystemTime;

use serde_json::json;
use ssh_key::certificate::{Builder, CertType};
use ssh_key::public::KeyData;
use ssh_key::rand_core::OsRng;
use ssh_key::{Algorithm, PrivateKey};

use crate::clock::unix_seconds;
use crate::error::Error;
use crate::identity::{CertHolder, Identity, KEY_POLICY, TRAITS};
use crate::keys::random;

/// An Ed25519 key that signs SSH certificates, as on newer servers.
pub(crate) struct SshKey {
    key: PrivateKey,
    public_line: String,
}

impl SshKey {
    pub(crate) fn generate() -> Result<Self, Error> {
        let key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519)?;
        let public_line = key.public_key().to_openssh()? + "\n";
        Ok(Self { key, public_line })
    }

    /// Returns the public key as an authorized_keys line, with a newline and without a comment.
    pub(crate) fn public_line(&self) -> &str {
        &self.public_line
    }

    /// Returns a user certificate for `key`, as a line with its newline.
    pub(crate) fn certify_user(
        &self,
        key: KeyData,
        identity: &Identity,
        validity: (SystemTime, SystemTime),
    ) -> Result<String, Error> {
        let (after, before) = (unix_seconds(validity.0), unix_seconds(validity.1));
        let mut builder = Builder::new(random::<32>()?, key, after, before)?;
        builder.cert_type(CertType::User)?.key_id(&identity.username)?;
        for principal in &identity.principals {
            builder.valid_principal(principal)?;
        }
        let roles = json!({ "version": "v1", "roles": identity.roles }).to_string();
        builder
            .extension("permit-port-forwarding", "")?
            .extension("permit-pty", "")?
            .extension("private-key-policy", KEY_POLICY)?
            .extension("teleport-roles", roles)?
            .extension("teleport-route-to-cluster", &identity.route_to_cluster)?
            .extension("teleport-traits", TRAITS)?;
        match &identity.holder {
            CertHolder::Bot { generation, is_renewable, .. } => {
                if *is_renewable {
                    builder.extension("renewable", "")?;
                }
                if let Some(generation) = generation {
                    builder.extension("generation", generation.to_string())?;
                }
            }
            CertHolder::Output { bot_user, reissuable } => {
                builder.extension("impersonator", bot_user)?;
                if !reissuable {
                    builder.extension("disallow-reissue", "")?;
                }
            }
        }
        Ok(builder.sign(&self.key)?.to_openssh()? + "\n")
    }

    /// Returns a host certificate for a node of `cluster`, as a line with its newline. As recorded, the key id is
    /// empty.
    pub(crate) fn certify_host(
        &self,
        key: KeyData,
        cluster: &str,
        principals: &[String],
        validity: (SystemTime, SystemTime),
    ) -> Result<String, Error> {
        let (after, before) = (unix_seconds(validity.0), unix_seconds(validity.1));
        let mut builder = Builder::new(random::<32>()?, key, after, before)?;
        builder.cert_type(CertType::Host)?.key_id("")?;
        for principal in principals {
            builder.valid_principal(principal)?;
        }
        builder.extension("x-teleport-authority", cluster)?.extension("x-teleport-role", "Node")?;
        Ok(builder.sign(&self.key)?.to_openssh()? + "\n")
    }
}
