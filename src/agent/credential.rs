//! Credentials as values: keys, X.509 and SSH certificates, the bot's identity, identity files, trust bundles.
//!
//! Pure except for the random numbers that new keys need: accesses neither files nor servers, and does not know the
//! configuration. May import `platform`.

pub(crate) mod authority;
pub(crate) mod cluster_name;
pub(crate) mod identity;
pub(crate) mod identity_file;
mod jws;
pub(crate) mod keys;
pub(crate) mod pem;
pub(crate) mod revocation_list;
pub(crate) mod ssh_cert;
pub(crate) mod trust_bundle;
pub(crate) mod x509;
