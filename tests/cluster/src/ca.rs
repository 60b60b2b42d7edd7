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
use crate::rotation::{Authority, Keys, Phase};
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
    cluster: String,
    pub(crate) user: Authority,
    pub(crate) host: Authority,
    /// Only SSH servers outside of Teleport are told of it, so it has no X.509 half.
    pub(crate) openssh: Authority,
    /// Databases speak no SSH, so this one has no SSH key (recorded).
    pub(crate) db: Authority,
    /// Not Teleport's: it stands in for the public authority behind a proxy's web certificate.
    pub(crate) web: TlsAuthority,
}

impl Authorities {
    pub(crate) fn generate(cluster: &str, now: SystemTime) -> Result<Self, Error> {
        let authority = |kind| Ok::<_, Error>(Authority::new(keys(cluster, kind, now)?));
        Ok(Self {
            cluster: cluster.to_owned(),
            user: authority("user")?,
            host: authority("host")?,
            openssh: authority("openssh")?,
            db: authority("db")?,
            web: TlsAuthority::new(now, |_| common_name("tbot-cluster web CA"))?,
        })
    }

    /// The authority that Teleport calls `kind`.
    pub(crate) fn of_kind(&self, kind: &str) -> Option<&Authority> {
        match kind {
            "user" => Some(&self.user),
            "host" => Some(&self.host),
            "db" => Some(&self.db),
            "openssh" => Some(&self.openssh),
            _ => None,
        }
    }

    /// Takes the authority `kind` on to `phase` of its rotation.
    pub(crate) fn rotate(&mut self, kind: &str, phase: Phase, now: SystemTime) -> Result<(), Error> {
        let Self { cluster, user, host, openssh, db, .. } = self;
        let authority = match kind {
            "user" => user,
            "host" => host,
            "db" => db,
            "openssh" => openssh,
            _ => return Err(Error::NoSuchAuthority(kind.to_owned())),
        };
        authority.enter(phase, || keys(cluster, kind, now))
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
        let Keys { tls, ssh } = self.user.active.as_ref();
        let tls = tls.as_ref().ok_or(Error::Crypto("find the user authority's TLS key"))?;
        let ssh = ssh.as_ref().ok_or(Error::Crypto("find the user authority's SSH key"))?;
        let certificate = sign(&tls.name, &tls.key, request)?;
        Ok(Pair { ssh: ssh.certify(keys.ssh, identity, validity)?, tls: pem(&certificate)? })
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
        let ssh = self.host.active.ssh.as_ref().ok_or(Error::Crypto("find the host authority's SSH key"))?;
        ssh.certify_host(key, cluster, principals, (now - BACKDATE, not_after))
    }
}

/// New keys for the authority `kind`: both halves, but for databases, which speak no SSH (recorded), and for SSH servers
/// outside of Teleport, which speak nothing else.
fn keys(cluster: &str, kind: &str, now: SystemTime) -> Result<Keys, Error> {
    let tls = || TlsAuthority::new(now, |serial| authority_name(cluster, serial));
    Ok(Keys {
        tls: (kind != "openssh").then(tls).transpose()?,
        ssh: (kind != "db").then(SshKey::generate).transpose()?,
    })
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
