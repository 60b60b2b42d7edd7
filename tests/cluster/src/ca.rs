//! The cluster's authorities, and the pair of certificates that the user CA issues. Depends on [`crate::x509`] and
//! [`crate::ssh`]; knows no bot and no rule.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use ssh_key::PublicKey;
use ssh_key::public::KeyData;
use x509_cert::der::Encode as _;
use x509_cert::name::Name;
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use crate::error::Error;
use crate::identity::{Identity, authority_name, common_name};
use crate::keys::{TlsKey, spki_of_pem, spki_of_ssh};
use crate::ssh::SshKey;
use crate::x509::{Profile, Request, pem, sign};

/// Certificates start a minute ago, so that a client whose clock is a little late takes them.
const BACKDATE: Duration = Duration::from_secs(60);
const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// The name that every auth server answers to, whatever its cluster is called.
pub(crate) const AUTH_NAME: &str = "teleport.cluster.local";

/// The X.509 half of an authority: a self-signed certificate and its key.
pub(crate) struct TlsAuthority {
    name: Name,
    key: TlsKey,
    der: CertificateDer<'static>,
    pem: String,
}

impl TlsAuthority {
    fn new(now: SystemTime, name: impl FnOnce([u8; 16]) -> Result<Name, Error>) -> Result<Self, Error> {
        let key = TlsKey::generate()?;
        let mut request =
            Request::new(Name::default(), key.spki()?, (now, now + TEN_YEARS), Profile::Authority)?;
        let name = name(request.serial)?;
        request.subject = name.clone();
        let certificate = sign(&name, &key, request)?;
        Ok(Self { name, key, der: certificate.to_der()?.into(), pem: pem(&certificate)? })
    }

    /// One PEM certificate.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.der.clone()
    }

    /// A new key and a certificate for a server; it never expires in practice, so that no test has to renew it.
    pub(crate) fn server(
        &self,
        now: SystemTime,
        dns: Vec<String>,
        addresses: Vec<IpAddr>,
    ) -> Result<ServerKey, Error> {
        let key = TlsKey::generate()?;
        let subject = common_name(dns.first().map_or("localhost", String::as_str))?;
        let profile = Profile::Server { dns, addresses };
        let request = Request::new(subject, key.spki()?, (now - BACKDATE, now + TEN_YEARS), profile)?;
        let certificate = sign(&self.name, &self.key, request)?.to_der()?.into();
        Ok(ServerKey { certificate, key: PrivatePkcs8KeyDer::from(key.pkcs8()?).into() })
    }
}

/// What a TLS server presents: a leaf and its key.
pub(crate) struct ServerKey {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) key: PrivateKeyDer<'static>,
}

/// Everything that signs in this cluster.
pub(crate) struct Authorities {
    pub(crate) user: TlsAuthority,
    pub(crate) user_ssh: SshKey,
    pub(crate) host: TlsAuthority,
    pub(crate) host_ssh: SshKey,
    /// Only SSH servers outside of Teleport are told of it, so it has no X.509 half.
    pub(crate) openssh: SshKey,
    /// Databases speak no SSH, so this one has no SSH key (recorded).
    pub(crate) db: TlsAuthority,
    /// Not Teleport's: it stands in for the public authority behind a proxy's web certificate.
    pub(crate) web: TlsAuthority,
}

impl Authorities {
    pub(crate) fn generate(cluster: &str, now: SystemTime) -> Result<Self, Error> {
        let teleports = || TlsAuthority::new(now, |serial| authority_name(cluster, serial));
        Ok(Self {
            user: teleports()?,
            user_ssh: SshKey::generate()?,
            host: teleports()?,
            host_ssh: SshKey::generate()?,
            openssh: SshKey::generate()?,
            db: teleports()?,
            web: TlsAuthority::new(now, |_| common_name("tbot-cluster web CA"))?,
        })
    }

    /// The halves of the authority that Teleport calls `kind`.
    pub(crate) fn of_kind(&self, kind: &str) -> Option<(Option<&TlsAuthority>, Option<&SshKey>)> {
        match kind {
            "user" => Some((Some(&self.user), Some(&self.user_ssh))),
            "host" => Some((Some(&self.host), Some(&self.host_ssh))),
            "db" => Some((Some(&self.db), None)),
            "openssh" => Some((None, Some(&self.openssh))),
            _ => None,
        }
    }

    /// Both certificates of `identity`, from the user CA, valid until `not_after`.
    pub(crate) fn issue(
        &self,
        cluster: &str,
        identity: &Identity,
        keys: SubjectKeys,
        (now, not_after): (SystemTime, SystemTime),
    ) -> Result<Pair, Error> {
        let validity = (now - BACKDATE, not_after);
        let request = Request::new(identity.subject(cluster)?, keys.tls, validity, Profile::User)?;
        let certificate = sign(&self.user.name, &self.user.key, request)?;
        Ok(Pair { ssh: self.user_ssh.certify(keys.ssh, identity, validity)?, tls: pem(&certificate)? })
    }
}

impl Authorities {
    /// A host's certificate, valid until `not_after`, for the key of one authorized_keys line.
    pub(crate) fn host_cert(
        &self,
        cluster: &str,
        key: &[u8],
        principals: &[String],
        (now, not_after): (SystemTime, SystemTime),
    ) -> Result<String, Error> {
        let line = String::from_utf8_lossy(key);
        let key = PublicKey::from_openssh(line.trim())?.key_data().clone();
        self.host_ssh.certify_host(key, cluster, principals, (now - BACKDATE, not_after))
    }
}

/// The two certificates of one identity.
pub(crate) struct Pair {
    /// One OpenSSH certificate line with its newline.
    pub(crate) ssh: String,
    /// One PEM certificate.
    pub(crate) tls: String,
}

/// The key or keys that the pair is issued for.
pub(crate) struct SubjectKeys {
    ssh: KeyData,
    tls: SubjectPublicKeyInfoOwned,
}

impl SubjectKeys {
    /// Both certificates for the key of one authorized_keys line; `tls`, a PEM, replaces it in the X.509 one.
    pub(crate) fn parse(ssh: &[u8], tls: Option<&[u8]>) -> Result<Self, Error> {
        let line = String::from_utf8_lossy(ssh);
        let ssh = PublicKey::from_openssh(line.trim())?.key_data().clone();
        let tls = match tls {
            Some(pem) => spki_of_pem(pem)?,
            None => spki_of_ssh(&ssh)?,
        };
        Ok(Self { ssh, tls })
    }
}
