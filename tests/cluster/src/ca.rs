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
use crate::jwt::JwtKey;
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

    /// The uncompressed point of the key.
    pub(crate) fn public_point(&self) -> Result<Vec<u8>, Error> {
        Ok(self.key.spki()?.subject_public_key.raw_bytes().to_vec())
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
    /// Signs what workloads are given: certificates and tokens, so it has an X.509 half and a key for tokens.
    pub(crate) spiffe: Authority,
    /// Signs what the agents of applications show to those behind them.
    pub(crate) app_client: Authority,
    /// Whom the X.509 half of `spiffe` signs for instead of itself, where it was certified by somebody else.
    pub(crate) spiffe_issuer: Option<Issuer>,
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
            spiffe: authority("spiffe")?,
            app_client: authority("app_client")?,
            spiffe_issuer: None,
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
            "spiffe" => Some(&self.spiffe),
            "app_client" => Some(&self.app_client),
            _ => None,
        }
    }

    /// Takes the authority `kind` on to `phase` of its rotation.
    pub(crate) fn rotate(&mut self, kind: &str, phase: Phase, now: SystemTime) -> Result<(), Error> {
        let Self { cluster, user, host, openssh, db, spiffe, .. } = self;
        let authority = match kind {
            "user" => user,
            "host" => host,
            "db" => db,
            "openssh" => openssh,
            "spiffe" => spiffe,
            _ => return Err(Error::NoSuchAuthority(kind.to_owned())),
        };
        authority.enter(phase, || keys(cluster, kind, now))?;
        if kind == "spiffe" {
            // Somebody else has certified the old key, not the new one.
            self.spiffe_issuer = None;
        }
        Ok(())
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
        let Keys { tls, ssh, .. } = self.user.active.as_ref();
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

/// New keys for the authority `kind`: both halves, but for databases, which speak no SSH (recorded), for SSH servers
/// outside of Teleport, which speak nothing else, for workloads, which are given tokens instead, and for applications.
fn keys(cluster: &str, kind: &str, now: SystemTime) -> Result<Keys, Error> {
    let tls = || TlsAuthority::new(now, |serial| authority_name(cluster, serial));
    Ok(Keys {
        tls: (kind != "openssh").then(tls).transpose()?,
        ssh: (!matches!(kind, "db" | "spiffe" | "app_client")).then(SshKey::generate).transpose()?,
        jwt: (kind == "spiffe").then(JwtKey::generate).transpose()?,
    })
}

/// A name that an authority's key was certified under by somebody else, as a company's own root does.
pub(crate) struct Issuer {
    name: Name,
    der: CertificateDer<'static>,
    root: TlsAuthority,
}

/// A workload's certificate, in DER, and those that lead from it to a root that is not the cluster's.
pub(crate) struct X509Svid {
    pub(crate) leaf: Vec<u8>,
    pub(crate) chain: Vec<Vec<u8>>,
}

impl Authorities {
    /// Has the key that signs for workloads certified by a new root. Returns the root's certificate in PEM.
    pub(crate) fn override_spiffe_issuer(&mut self, now: SystemTime) -> Result<String, Error> {
        let root = TlsAuthority::new(now, |_| common_name("somebody else's root"))?;
        let name = common_name("somebody else's issuer")?;
        let key = self.spiffe_tls()?.key.spki()?;
        let request = Request::new(name.clone(), key, (now, now + TEN_YEARS), Profile::Authority)?;
        let der = sign(&root.name, &root.key, request)?.to_der()?.into();
        let issuer = self.spiffe_issuer.insert(Issuer { name, der, root });
        Ok(issuer.root.pem().to_owned())
    }

    /// A certificate for a workload of this SPIFFE ID.
    pub(crate) fn x509_svid(
        &self,
        key: SubjectPublicKeyInfoOwned,
        id: &str,
        (now, not_after): (SystemTime, SystemTime),
        with_override: bool,
    ) -> Result<X509Svid, Error> {
        let profile = Profile::Workload { id: id.to_owned() };
        let request = Request::new(Name::default(), key, (now - BACKDATE, not_after), profile)?;
        let authority = self.spiffe_tls()?;
        let issuer = self.spiffe_issuer.as_ref().filter(|_| with_override);
        let name = issuer.map_or(&authority.name, |issuer| &issuer.name);
        Ok(X509Svid {
            leaf: sign(name, &authority.key, request)?.to_der()?,
            chain: issuer.iter().map(|issuer| issuer.der.to_vec()).collect(),
        })
    }

    /// The key that signs tokens of workloads.
    pub(crate) fn spiffe_jwt(&self) -> Result<&JwtKey, Error> {
        self.spiffe.active.jwt.as_ref().ok_or(Error::Crypto("find the SPIFFE authority's key for tokens"))
    }

    fn spiffe_tls(&self) -> Result<&TlsAuthority, Error> {
        self.spiffe.active.tls.as_ref().ok_or(Error::Crypto("find the SPIFFE authority's TLS key"))
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
