//! SSH certificates: of users, the same identity as the X.509 one, as extensions; and of hosts. Depends on ssh-key; decides nothing.

use std::time::SystemTime;

use serde_json::json;
use ssh_key::certificate::{Builder, CertType};
use ssh_key::public::KeyData;
use ssh_key::rand_core::OsRng;
use ssh_key::{Algorithm, PrivateKey};

use crate::clock::unix_seconds;
use crate::error::Error;
use crate::identity::{Identity, KEY_POLICY, Standing, TRAITS};
use crate::keys::random;

/// An Ed25519 key that signs SSH certificates, as newer servers have it.
pub(crate) struct SshKey {
    key: PrivateKey,
    line: String,
}

impl SshKey {
    pub(crate) fn generate() -> Result<Self, Error> {
        let key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519)?;
        let line = key.public_key().to_openssh()? + "\n";
        Ok(Self { key, line })
    }

    /// The authorized_keys line, with its newline and no comment.
    pub(crate) fn public_line(&self) -> &str {
        &self.line
    }

    /// A certificate line, with its newline, that says of `key` what `identity` says.
    pub(crate) fn certify(
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
        match &identity.standing {
            Standing::Bot { generation: None } => {}
            Standing::Bot { generation: Some(generation) } => {
                builder.extension("renewable", "")?.extension("generation", generation.to_string())?;
            }
            Standing::Impersonated { by, reissuable } => {
                builder.extension("impersonator", by)?;
                if !reissuable {
                    builder.extension("disallow-reissue", "")?;
                }
            }
        }
        Ok(builder.sign(&self.key)?.to_openssh()? + "\n")
    }

    /// A certificate line, with its newline, of a host of `cluster`. The key id is empty (recorded).
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
