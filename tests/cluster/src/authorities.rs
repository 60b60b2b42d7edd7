//! The certificate authorities of a cluster, and the certificates that they issue to users, hosts and workloads. Knows
//! nothing about bots and their permissions.

use std::time::{Duration, SystemTime};

use ssh_key::PublicKey;
use ssh_key::public::KeyData;
use x509_cert::der::Decode as _;
use x509_cert::der::Encode as _;
use x509_cert::name::Name;
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use crate::authority::{Authority, AuthorityKeys};
use crate::error::Error;
use crate::identity::Identity;
use crate::jwt::JwtKey;
use crate::keys::{spki_from_pem, spki_from_ssh};
use crate::phase::Phase;
use crate::ssh::SshKey;
use crate::tls_authority::{BACKDATE, CrossSigned, TlsAuthority};
use crate::x509::{self, CertRequest, Profile};

/// The name that every auth server has in addition to the one derived from its cluster's name.
pub(crate) const AUTH_NAME: &str = "teleport.cluster.local";
/// The maximum validity of a certificate.
pub(crate) const MAX_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// All certificate authorities of a cluster.
pub(crate) struct Authorities {
    cluster: String,
    pub(crate) user: Authority,
    pub(crate) host: Authority,
    /// For SSH servers outside of Teleport, so it has an SSH key only.
    pub(crate) openssh: Authority,
    /// For databases, which do not use SSH: no SSH key (recorded).
    pub(crate) db: Authority,
    /// Issues X.509 and JWT SVIDs to workloads: a TLS key and a JWT key.
    pub(crate) spiffe: Authority,
    /// Issues the certificates with which application agents authenticate to applications: a TLS key only.
    pub(crate) app_client: Authority,
    /// The issuer override of X.509 SVIDs, if there is one.
    spiffe_override: Option<CrossSigned>,
    /// Represents the public authority that issued a proxy's web certificate; it does not belong to Teleport.
    pub(crate) web: TlsAuthority,
}

impl Authorities {
    pub(crate) fn generate(cluster: &str, now: SystemTime) -> Result<Self, Error> {
        let authority = |kind| Ok::<_, Error>(Authority::new(generate_keys(cluster, kind, now)?));
        Ok(Self {
            cluster: cluster.to_owned(),
            user: authority("user")?,
            host: authority("host")?,
            openssh: authority("openssh")?,
            db: authority("db")?,
            spiffe: authority("spiffe")?,
            app_client: authority("app_client")?,
            spiffe_override: None,
            web: TlsAuthority::external("tbot-cluster web CA", now)?,
        })
    }

    /// Returns the authority that Teleport calls `kind`.
    pub(crate) fn of_kind(&self, kind: &str) -> Option<&Authority> {
        match kind {
            "user" => Some(&self.user),
            "host" => Some(&self.host),
            "db" => Some(&self.db),
            "openssh" => Some(&self.openssh),
            "spiffe" => Some(&self.spiffe),
            "app_client" => Some(&self.app_client),
            _ => None,
        }
    }

    /// Moves the authority `kind` to `phase` of its rotation.
    pub(crate) fn rotate(&mut self, kind: &str, phase: Phase, now: SystemTime) -> Result<(), Error> {
        let Self { cluster, user, host, openssh, db, spiffe, .. } = self;
        let authority = match kind {
            "user" => user,
            "host" => host,
            "db" => db,
            "openssh" => openssh,
            "spiffe" => spiffe,
            _ => return Err(Error::AuthorityNotFound(kind.to_owned())),
        };
        authority.enter(phase, || generate_keys(cluster, kind, now))?;
        if kind == "spiffe" {
            // The external root has certified the old key only.
            self.spiffe_override = None;
        }
        Ok(())
    }

    /// Issues both certificates of `identity` from the user CA, valid until `not_after`.
    pub(crate) fn user_certs(
        &self,
        cluster: &str,
        identity: &Identity,
        keys: SubjectKeys,
        (now, not_after): (SystemTime, SystemTime),
    ) -> Result<CertPair, Error> {
        let validity = (now - BACKDATE, not_after);
        let request = CertRequest::new(identity.subject(cluster)?, keys.tls, validity, Profile::User)?;
        let authority = &self.user.active;
        let certificate = authority.tls()?.sign(request)?;
        let ssh = authority.ssh()?.certify_user(keys.ssh, identity, validity)?;
        Ok(CertPair { ssh, tls: x509::pem(&certificate)? })
    }

    /// Issues a host certificate for the key of an authorized_keys line, valid until `not_after`.
    pub(crate) fn host_cert(
        &self,
        cluster: &str,
        key: &[u8],
        principals: &[String],
        (now, not_after): (SystemTime, SystemTime),
    ) -> Result<String, Error> {
        let key = parse_ssh_key(key)?;
        self.host.active.ssh()?.certify_host(key, cluster, principals, (now - BACKDATE, not_after))
    }

    /// Has a new external root certify the key that signs X.509 SVIDs. Returns the root's PEM certificate.
    pub(crate) fn override_spiffe_issuer(&mut self, now: SystemTime) -> Result<String, Error> {
        let root = TlsAuthority::external("external root", now)?;
        let cross_signed = self.spiffe.active.tls()?.cross_sign(&root, "external issuer", now)?;
        self.spiffe_override = Some(cross_signed);
        Ok(root.pem().to_owned())
    }

    /// Issues an X.509 SVID, from the issuer override if there is one and `use_override` is set.
    pub(crate) fn x509_svid(
        &self,
        key: SubjectPublicKeyInfoOwned,
        spiffe_id: &str,
        (now, not_after): (SystemTime, SystemTime),
        use_override: bool,
    ) -> Result<X509Svid, Error> {
        let profile = Profile::Workload { spiffe_id: spiffe_id.to_owned() };
        let request = CertRequest::new(Name::default(), key, (now - BACKDATE, not_after), profile)?;
        let authority = self.spiffe.active.tls()?;
        let issuer = self.spiffe_override.as_ref().filter(|_| use_override);
        let leaf = match issuer {
            Some(issuer) => authority.sign_as(issuer, request)?,
            None => authority.sign(request)?,
        };
        let chain = issuer.iter().map(|issuer| issuer.der.to_vec()).collect();
        Ok(X509Svid { leaf: leaf.to_der()?, chain })
    }
}

/// Generates the keys of the authority `kind`.
fn generate_keys(cluster: &str, kind: &str, now: SystemTime) -> Result<AuthorityKeys, Error> {
    let tls = || TlsAuthority::for_cluster(cluster, now);
    Ok(AuthorityKeys {
        tls: (kind != "openssh").then(tls).transpose()?,
        ssh: (!matches!(kind, "db" | "spiffe" | "app_client")).then(SshKey::generate).transpose()?,
        jwt: (kind == "spiffe").then(JwtKey::generate).transpose()?,
    })
}

/// An X.509 SVID in DER, and the intermediate certificates between it and an external root.
pub(crate) struct X509Svid {
    pub(crate) leaf: Vec<u8>,
    pub(crate) chain: Vec<Vec<u8>>,
}

/// The two certificates of one identity.
pub(crate) struct CertPair {
    /// An OpenSSH certificate line with its newline.
    pub(crate) ssh: String,
    /// A PEM certificate.
    pub(crate) tls: String,
}

/// The public keys that a [`CertPair`] is issued for.
#[derive(Clone)]
pub(crate) struct SubjectKeys {
    ssh: KeyData,
    tls: SubjectPublicKeyInfoOwned,
}

impl SubjectKeys {
    /// Parses an authorized_keys line, whose key is used for both certificates unless `tls`, a PEM public key, is given
    /// for the X.509 certificate.
    pub(crate) fn parse(ssh: &[u8], tls: Option<&[u8]>) -> Result<Self, Error> {
        let ssh = parse_ssh_key(ssh)?;
        let tls = match tls {
            Some(pem) => spki_from_pem(pem)?,
            None => spki_from_ssh(&ssh)?,
        };
        Ok(Self { ssh, tls })
    }
}

impl SubjectKeys {
    /// Parses a key in the encoding of the SSH protocol, and a DER-encoded `SubjectPublicKeyInfo`.
    pub(crate) fn parse_binary(ssh: &[u8], tls: &[u8]) -> Result<Self, Error> {
        let ssh = PublicKey::from_bytes(ssh)?.key_data().clone();
        Ok(Self { ssh, tls: SubjectPublicKeyInfoOwned::from_der(tls)? })
    }
}

/// Parses an authorized_keys line.
fn parse_ssh_key(line: &[u8]) -> Result<KeyData, Error> {
    let line = String::from_utf8_lossy(line);
    Ok(PublicKey::from_openssh(line.trim())?.key_data().clone())
}
