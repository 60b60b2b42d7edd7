//! Workload identities: who may have one, what is issued for it, and with whom the cluster federates. Puts
//! [`crate::state`] and [`crate::ca`] together. Source: protocol facts of newer servers, sections 9.1 and 9.3.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tonic::Code;
use x509_cert::der::Decode as _;
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use crate::ca::Authorities;
use crate::clock::unix_seconds;
use crate::error::{Error, Failure};
use crate::identity::Caller;
use crate::jwt::jwk;
use crate::keys::{TlsKey, uuid};
use crate::proto::{
    Credential, IssueWorkloadIdentitiesRequest, IssueWorkloadIdentitiesResponse,
    IssueWorkloadIdentityRequest, IssueWorkloadIdentityResponse, JwtSvidCredential, JwtSvidParams,
    LabelSelector, ListSpiffeFederationsRequest, ListSpiffeFederationsResponse, Metadata, SpiffeFederation,
    SpiffeFederationStatus, X509SvidCredential, X509SvidParams,
};
use crate::{Shared, state};

/// The first version that knows of them here; of 17, the later releases only.
const FIRST: u32 = 17;
/// What a request gets that asks for no time.
const DEFAULT_TTL: Duration = Duration::from_secs(60 * 60);
/// No request is answered with more.
const MOST: usize = 10;
/// How much of a list a page has at most, whatever is asked for.
const LARGEST_PAGE: usize = 100;

/// An identity that workloads can be given.
#[derive(Clone, Debug)]
pub struct WorkloadIdentity {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    /// Of the SPIFFE ID, with its slash.
    pub path: String,
    pub max_ttl: Duration,
    /// How what is issued differs from what it should be.
    pub forgery: Option<Forgery>,
}

/// What no server does that works and is honest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgery {
    /// A certificate for another key; a token for another audience.
    ForAnother,
    /// A credential of another SPIFFE ID than the answer says.
    OtherId,
    /// A credential that has ended.
    Ended,
    /// Something that is no credential.
    Garbage,
}

impl WorkloadIdentity {
    pub fn new(name: &str, path: &str) -> Self {
        Self {
            name: name.to_owned(),
            labels: BTreeMap::new(),
            path: path.to_owned(),
            max_ttl: state::MAX_TTL,
            forgery: None,
        }
    }

    #[must_use]
    pub fn with_label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    #[must_use]
    pub fn forged(self, forgery: Forgery) -> Self {
        Self { forgery: Some(forgery), ..self }
    }

    /// All selectors must hold; `*` stands for every value, and as a key for having any labels or none.
    fn is_selected(&self, selectors: &[LabelSelector]) -> bool {
        let any = |values: &[String]| values.iter().any(|value| value == "*");
        selectors.iter().all(|LabelSelector { key, values }| match self.labels.get(key) {
            Some(value) => any(values) || values.contains(value),
            None => key == "*" && any(values),
        })
    }
}

/// What a request wants: exactly one of these.
enum Wanted<'a> {
    X509(&'a X509SvidParams),
    Jwt(&'a JwtSvidParams),
}

impl<'a> Wanted<'a> {
    fn new(x509: Option<&'a X509SvidParams>, jwt: Option<&'a JwtSvidParams>) -> Result<Self, Failure> {
        match (x509, jwt) {
            (Some(x509), None) if x509.public_key.is_empty() => {
                Err(bad("x509_svid_params.public_key: is required"))
            }
            (Some(x509), None) => Ok(Self::X509(x509)),
            (None, Some(jwt)) if jwt.audiences.is_empty() => {
                Err(bad("jwt_svid_params.audiences: at least one audience should be specified"))
            }
            (None, Some(jwt)) => Ok(Self::Jwt(jwt)),
            _ => Err(bad("at least one credential type must be requested")),
        }
    }
}

impl Shared {
    /// Whether this cluster is of a version that knows of workload identities.
    pub(crate) fn knows_workloads(&self) -> bool {
        self.major() >= FIRST
    }

    /// 18 for `18.2.5`.
    pub(crate) fn major(&self) -> u32 {
        self.server_version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or_default()
    }

    pub(crate) fn issue_workload_identity(
        &self,
        caller: &Caller,
        request: &IssueWorkloadIdentityRequest,
    ) -> Result<IssueWorkloadIdentityResponse, Failure> {
        if request.name.is_empty() {
            return Err(bad("name: is required"));
        }
        let wanted = Wanted::new(request.x509_svid_params.as_ref(), request.jwt_svid_params.as_ref())?;
        let found = self.state().workloads.get(&request.name).cloned();
        let found = found.ok_or_else(|| {
            Failure::new(Code::NotFound, format!("workload_identity {:?} doesn't exist", request.name))
        })?;
        self.may_issue(caller, "read")?;
        let ttl = ttl(request.requested_ttl)?;
        Ok(IssueWorkloadIdentityResponse { credential: Some(self.credential(&found, &wanted, ttl)?) })
    }

    pub(crate) fn issue_workload_identities(
        &self,
        caller: &Caller,
        request: &IssueWorkloadIdentitiesRequest,
    ) -> Result<IssueWorkloadIdentitiesResponse, Failure> {
        if request.label_selectors.is_empty() {
            return Err(bad("label_selectors: at least one label selector must be specified"));
        }
        let wanted = Wanted::new(request.x509_svid_params.as_ref(), request.jwt_svid_params.as_ref())?;
        self.may_issue(caller, "list")?;
        let all = self.state().workloads.clone();
        let selected: Vec<_> =
            all.values().filter(|identity| identity.is_selected(&request.label_selectors)).collect();
        if selected.len() > MOST {
            let text = format!(
                "number of identities that would be issued exceeds maximum permitted (max = {MOST}), use more specific labels"
            );
            return Err(bad(text));
        }
        let ttl = ttl(request.requested_ttl)?;
        let credentials = selected.into_iter().map(|identity| self.credential(identity, &wanted, ttl));
        Ok(IssueWorkloadIdentitiesResponse { credentials: credentials.collect::<Result<_, _>>()? })
    }

    /// One page of the federations, in the order of their names.
    pub(crate) fn spiffe_federations(
        &self,
        request: &ListSpiffeFederationsRequest,
    ) -> Result<ListSpiffeFederationsResponse, Failure> {
        let asked = usize::try_from(request.page_size).map_err(|_| bad("page_size: must not be negative"))?;
        let size = if asked == 0 { LARGEST_PAGE } else { asked.min(LARGEST_PAGE) };
        let state = self.state();
        let mut rest = state.federations.range(request.page_token.clone()..);
        let page = rest.by_ref().take(size).map(|(name, bundle)| SpiffeFederation {
            kind: "spiffe_federation".to_owned(),
            version: "v1".to_owned(),
            metadata: Some(Metadata { name: name.clone(), ..Metadata::default() }),
            status: bundle.clone().map(|current_bundle| SpiffeFederationStatus { current_bundle }),
        });
        let spiffe_federations = page.collect();
        let next = match state.resources.is_endless {
            true => state.federations.keys().next(),
            false => rest.next().map(|(name, _)| name),
        };
        let next_page_token = next.cloned().unwrap_or_default();
        Ok(ListSpiffeFederationsResponse { spiffe_federations, next_page_token })
    }

    /// The authorities of workloads as a JWKS document.
    pub(crate) fn spiffe_bundle(&self) -> Result<String, Error> {
        let authorities = self.authorities();
        let mut keys = Vec::new();
        for trusted in authorities.spiffe.trusted() {
            if let Some(tls) = &trusted.tls {
                let mut key = jwk(&tls.public_point()?);
                key["use"] = "x509-svid".into();
                key["x5c"] = json!([BASE64_STANDARD.encode(tls.der())]);
                keys.push(key);
            }
            if let Some(jwt) = &trusted.jwt {
                let mut key = jwk(jwt.public_point());
                key["use"] = "jwt-svid".into();
                key["kid"] = jwt.id().into();
                keys.push(key);
            }
        }
        Ok(json!({ "keys": keys, "spiffe_refresh_hint": 300 }).to_string())
    }

    /// A bot's own role has no rule for it; those it takes on may have one.
    fn may_issue(&self, caller: &Caller, verb: &str) -> Result<(), Failure> {
        let state = self.state();
        let roles = caller.roles.iter().filter_map(|role| state.role(role));
        if roles.into_iter().any(|role| role.workload_identities) {
            return Ok(());
        }
        let text = format!("access denied to perform action {verb:?} on \"workload_identity\"");
        Err(Failure::new(Code::PermissionDenied, text))
    }

    fn credential(
        &self,
        identity: &WorkloadIdentity,
        wanted: &Wanted<'_>,
        ttl: Duration,
    ) -> Result<Credential, Failure> {
        let (now, ttl) = ((self.clock)(), ttl.min(identity.max_ttl));
        let spiffe_id = format!("spiffe://{}{}", self.name, identity.path);
        let not_after =
            if identity.forgery == Some(Forgery::Ended) { now - Duration::from_secs(1) } else { now + ttl };
        let inside = if identity.forgery == Some(Forgery::OtherId) {
            format!("{spiffe_id}/x")
        } else {
            spiffe_id.clone()
        };
        let issue = Issue { id: &inside, times: (now, not_after), forgery: identity.forgery };
        let authorities = self.authorities();
        let (x509_svid, jwt_svid) = match wanted {
            Wanted::X509(params) => (Some(issue.x509(&authorities, params)?), None),
            Wanted::Jwt(params) => {
                let issuer = format!("https://{}/workload-identity", self.addr);
                (None, Some(issue.jwt(&authorities, params, &issuer)?))
            }
        };
        Ok(Credential {
            ttl: prost_types::Duration::try_from(ttl).ok(),
            expires_at: Some((now + ttl).into()),
            workload_identity_name: identity.name.clone(),
            workload_identity_revision: self.revision.clone(),
            spiffe_id,
            x509_svid,
            jwt_svid,
        })
    }
}

/// What one credential says.
struct Issue<'a> {
    id: &'a str,
    times: (SystemTime, SystemTime),
    forgery: Option<Forgery>,
}

impl Issue<'_> {
    fn x509(&self, by: &Authorities, params: &X509SvidParams) -> Result<X509SvidCredential, Failure> {
        let mut key = SubjectPublicKeyInfoOwned::from_der(&params.public_key)
            .map_err(|error| bad(format!("issuing X509 SVID\n\tparsing public key\n\t{error}")))?;
        if self.forgery == Some(Forgery::ForAnother) {
            key = TlsKey::generate()?.spki()?;
        }
        let svid = by.x509_svid(key, self.id, self.times, params.use_issuer_overrides)?;
        let cert = if self.forgery == Some(Forgery::Garbage) { b"garbage".to_vec() } else { svid.leaf };
        Ok(X509SvidCredential { cert, serial_number: String::new(), chain: svid.chain })
    }

    fn jwt(
        &self,
        by: &Authorities,
        params: &JwtSvidParams,
        issuer: &str,
    ) -> Result<JwtSvidCredential, Failure> {
        let (now, not_after) = self.times;
        let audiences: Value = match self.forgery {
            Some(Forgery::ForAnother) => json!(["another"]),
            _ => json!(params.audiences),
        };
        let (key, jti) = (by.spiffe_jwt()?, uuid()?);
        let claims = json!({
            "sub": self.id,
            "aud": audiences,
            "exp": unix_seconds(not_after),
            "iat": unix_seconds(now),
            "iss": issuer,
            "jti": jti,
        });
        let jwt = match self.forgery {
            Some(Forgery::Garbage) => "garbage".to_owned(),
            _ => key.sign(Some(&key.id()), &claims)?,
        };
        Ok(JwtSvidCredential { jwt, jti })
    }
}

/// What is asked for, or an hour.
fn ttl(asked: Option<prost_types::Duration>) -> Result<Duration, Failure> {
    match asked.map(Duration::try_from) {
        None => Ok(DEFAULT_TTL),
        Some(Ok(ttl)) => Ok(if ttl.is_zero() { DEFAULT_TTL } else { ttl }),
        Some(Err(_)) => Err(bad("requested_ttl: must not be negative")),
    }
}

fn bad(message: impl Into<String>) -> Failure {
    Failure::new(Code::InvalidArgument, message)
}
