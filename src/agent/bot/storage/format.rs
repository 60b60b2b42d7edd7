//! The files of a stored identity, in the Go agent's format, so that either agent can take over from the other. Pure.
//!
//! | file | content |
//! | --- | --- |
//! | `key`, `key.pub` | private key in PEM, public key as an SSH line |
//! | `tlscert`, `key-cert.pub` | TLS certificate in PEM, SSH certificate as a line |
//! | `tlscacerts`, `sshcacerts` | CAs, separated by one `$` |
//! | `tokenhash` | hexadecimal SHA-256 of the token that the identity was obtained with |
//! | `id_bkp`, `id_bkp.pub`, `bkp_key_history.json`, `bkp_state` | see [`bound_keys`](crate::agent::bot::bound_keys) |
//! | `.write-test`, `lock`, `.tbot-lock` | empty |
//! | `renewal-pending` | the renewal marker, written only by this agent: a renewal was requested, and its response is not saved here |
//!
//! The auth server increments the generation at each renewal, and locks the bot if an old generation is presented
//! again. The agent therefore stores the marker before it requests a renewal. The marker begins with the fingerprint of the
//! certificate that the request presents, so it has no effect once another certificate is stored. The Go agent does not know the marker: it
//! must not take over a storage that contains one.

use std::sync::Arc;

use super::error::StorageError;
use crate::agent::bot::bound_keys::BoundKeys;
use crate::agent::credential::identity::{CA_SEPARATOR, Identity, IdentityError, SignedCerts};
use crate::agent::credential::keys::KeyPair;
use crate::agent::destination::staging::NewFile;
use crate::agent::platform::hex::sha256_hex;

pub(super) const KEY: &str = "key";
pub(super) const KEY_PUB: &str = "key.pub";
pub(super) const TLS_CERT: &str = "tlscert";
pub(super) const SSH_CERT: &str = "key-cert.pub";
/// The former name of `key-cert.pub`. Read if that is missing or empty.
const OLD_SSH_CERT: &str = "sshcert";
pub(super) const TLS_CAS: &str = "tlscacerts";
pub(super) const SSH_CAS: &str = "sshcacerts";
pub(super) const TOKEN_HASH: &str = "tokenhash";
/// The files that every saved identity consists of.
pub(super) const IDENTITY_FILES: [&str; 7] = [KEY, KEY_PUB, TLS_CERT, SSH_CERT, TLS_CAS, SSH_CAS, TOKEN_HASH];
/// The name of the renewal marker.
pub(super) const RENEWAL_MARKER: &str = "renewal-pending";

/// An identity, and what is stored with it.
#[derive(Clone, Debug)]
pub(crate) struct StoredIdentity {
    pub(crate) identity: Arc<Identity>,
    pub(crate) token_hash: String,
    /// A renewal was requested with this identity, and its response was not saved.
    pub(crate) renewal_pending: bool,
    /// An agent has gone on with this identity in another directory. Then `renewal_pending` is true, too.
    pub(crate) used_elsewhere: bool,
}

/// Parses an identity. Returns `None` if one of its files is missing or empty.
///
/// `read` returns the content of a file, or `None` if it is missing. `location` says in an error where the files are.
pub(super) fn parse(
    location: &str,
    read: impl Fn(&str) -> Result<Option<Vec<u8>>, StorageError>,
) -> Result<Option<StoredIdentity>, StorageError> {
    let read_string = |name| -> Result<Option<String>, StorageError> {
        let content = read(name)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Ok(content.filter(|content| !content.is_empty()))
    };
    let ssh = match read_string(SSH_CERT)? {
        Some(ssh) => Some(ssh),
        None => read_string(OLD_SSH_CERT)?,
    };
    let required = (
        read_string(KEY)?,
        read_string(KEY_PUB)?,
        read_string(TLS_CERT)?,
        ssh,
        read_string(TLS_CAS)?,
        read_string(SSH_CAS)?,
        read_string(TOKEN_HASH)?,
    );
    let (Some(key), Some(_), Some(tls), Some(ssh), Some(tls_cas), Some(ssh_cas), Some(token_hash)) = required
    else {
        return Ok(None);
    };
    let split = |joined: String| joined.split(CA_SEPARATOR).map(str::to_owned).collect();
    let certs = SignedCerts { tls, ssh, tls_cas: split(tls_cas), ssh_cas: split(ssh_cas) };
    let identity = KeyPair::from_pem(&key)
        .map_err(IdentityError::from)
        .and_then(|key| Identity::new(key, certs))
        .map_err(|error| StorageError::Damaged { location: location.to_owned(), error })?;
    // An incompletely written marker has no effect: the agent requests the renewal only after fsync.
    let marker = read(RENEWAL_MARKER)?;
    let used_elsewhere = marker.as_deref() == Some(abandoned_marker(&identity).as_bytes());
    let renewal_pending = marker.is_some_and(|marker| marker.starts_with(fingerprint(&identity).as_bytes()));
    let token_hash = token_hash.trim().to_owned();
    Ok(Some(StoredIdentity { identity: identity.into(), token_hash, renewal_pending, used_elsewhere }))
}

impl StoredIdentity {
    /// Returns the renewal marker of an identity that has one.
    pub(super) fn marker(&self) -> String {
        if self.used_elsewhere { abandoned_marker(&self.identity) } else { fingerprint(&self.identity) }
    }
}

/// Returns what the renewal marker for a renewal with `identity` begins with.
pub(super) fn fingerprint(identity: &Identity) -> String {
    sha256_hex(&identity.user.der)
}

/// Returns the renewal marker in a directory that the agent has left, to use `identity` in another one.
pub(super) fn abandoned_marker(identity: &Identity) -> String {
    format!("{}\nleft\n", fingerprint(identity))
}

/// Returns the files of `identity`, without the renewal marker.
pub(super) fn encode(identity: &Identity, token_hash: &str) -> Result<Vec<NewFile>, StorageError> {
    let certs = &identity.certs;
    let key_pub = identity.key.ssh_line()?;
    let files = [
        (KEY, identity.key.private_pem().to_owned()),
        (KEY_PUB, key_pub),
        (TLS_CERT, certs.tls.clone()),
        (SSH_CERT, certs.ssh.clone()),
        (TLS_CAS, certs.tls_cas.join(CA_SEPARATOR)),
        (SSH_CAS, certs.ssh_cas.join(CA_SEPARATOR)),
        (TOKEN_HASH, token_hash.to_owned()),
    ];
    Ok(files.into_iter().map(|(name, content)| (name.to_owned(), content.into_bytes())).collect())
}

/// Returns the files of `identity`, and of the key pairs that it was obtained with, if any.
pub(super) fn encode_all(
    identity: &Identity,
    token_hash: &str,
    keys: Option<&BoundKeys>,
) -> Result<Vec<NewFile>, StorageError> {
    let mut files = encode(identity, token_hash)?;
    files.extend(keys.map(BoundKeys::encode).transpose()?.into_iter().flatten());
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::bot::bound_keys::BOUND_KEY_FILES;
    use crate::agent::destination::directory::storage_lock::STORAGE_LOCK_FILE;
    use crate::config::file_names::STORAGE_FILES;

    #[test]
    fn the_checks_of_the_configuration_know_every_file_of_the_storage() {
        let others = [OLD_SSH_CERT, RENEWAL_MARKER, STORAGE_LOCK_FILE];
        let mut files = [&IDENTITY_FILES[..], &BOUND_KEY_FILES, &others].concat();
        files.sort_unstable();
        assert_eq!(files, STORAGE_FILES);
    }
}
