//! Serves the calls for workload identities, which servers have from 17.2 on: issues SVIDs, lists the revoked ones, and
//! lists federations. The permissions come from [`crate::state`], the keys from [`crate::authorities`].

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use crate::authorities::Authorities;
use crate::clock::unix_seconds;
use crate::error::{ApiError, Error};
use crate::identity::Caller;
use crate::jwt::jwk;
use crate::keys::{TlsKey, uuid};
use crate::message_stream::MessageStream;
use crate::proto::{
    Credential, IssueWorkloadIdentitiesRequest, IssueWorkloadIdentitiesResponse,
    IssueWorkloadIdentityRequest, IssueWorkloadIdentityResponse, JwtSvidCredential, JwtSvidParams,
    ListSpiffeFederationsRequest, ListSpiffeFederationsResponse, SpiffeFederation, SpiffeFederationStatus,
    StreamSignedCrlResponse, X509SvidCredential, X509SvidParams, header,
};
use crate::revocations::SerialNumbers;
use crate::shared::Shared;
use crate::workload_identity::{Forgery, WorkloadIdentity};

/// The validity of an SVID if the request does not specify one.
const DEFAULT_TTL: Duration = Duration::from_secs(60 * 60);
/// The maximum number of SVIDs per request.
const MAX_CREDENTIALS: usize = 10;
/// The maximum size of a page of federations.
const MAX_PAGE_SIZE: usize = 100;

/// The requested type of SVID with its parameters.
enum SvidParams<'a> {
    X509(&'a X509SvidParams),
    Jwt(&'a JwtSvidParams),
}

impl<'a> SvidParams<'a> {
    fn new(x509: Option<&'a X509SvidParams>, jwt: Option<&'a JwtSvidParams>) -> Result<Self, ApiError> {
        match (x509, jwt) {
            (Some(x509), None) if x509.public_key.is_empty() => {
                Err(ApiError::invalid_argument("x509_svid_params.public_key: is required"))
            }
            (Some(x509), None) => Ok(Self::X509(x509)),
            (None, Some(jwt)) if jwt.audiences.is_empty() => Err(ApiError::invalid_argument(
                "jwt_svid_params.audiences: at least one audience should be specified",
            )),
            (None, Some(jwt)) => Ok(Self::Jwt(jwt)),
            _ => Err(ApiError::invalid_argument("at least one credential type must be requested")),
        }
    }
}

impl Shared {
    pub(crate) fn issue_workload_identity(
        &self,
        caller: &Caller,
        request: &IssueWorkloadIdentityRequest,
    ) -> Result<IssueWorkloadIdentityResponse, ApiError> {
        if request.name.is_empty() {
            return Err(ApiError::invalid_argument("name: is required"));
        }
        let params = SvidParams::new(request.x509_svid_params.as_ref(), request.jwt_svid_params.as_ref())?;
        let identity = self.state().workloads.get(&request.name).cloned();
        let identity = identity.ok_or_else(|| {
            ApiError::not_found(format!("workload_identity {:?} doesn't exist", request.name))
        })?;
        self.check_issue_permission(caller, "read")?;
        let ttl = ttl(request.requested_ttl)?;
        Ok(IssueWorkloadIdentityResponse { credential: Some(self.credential(&identity, &params, ttl)?) })
    }

    pub(crate) fn issue_workload_identities(
        &self,
        caller: &Caller,
        request: &IssueWorkloadIdentitiesRequest,
    ) -> Result<IssueWorkloadIdentitiesResponse, ApiError> {
        if request.label_selectors.is_empty() {
            return Err(ApiError::invalid_argument(
                "label_selectors: at least one label selector must be specified",
            ));
        }
        let params = SvidParams::new(request.x509_svid_params.as_ref(), request.jwt_svid_params.as_ref())?;
        self.check_issue_permission(caller, "list")?;
        let all = self.state().workloads.clone();
        let selected: Vec<_> =
            all.values().filter(|identity| identity.is_selected(&request.label_selectors)).collect();
        if selected.len() > MAX_CREDENTIALS {
            return Err(ApiError::invalid_argument(format!(
                "number of identities that would be issued exceeds maximum permitted (max = {MAX_CREDENTIALS}), use more specific labels"
            )));
        }
        let ttl = ttl(request.requested_ttl)?;
        let credentials = selected.into_iter().map(|identity| self.credential(identity, &params, ttl));
        Ok(IssueWorkloadIdentitiesResponse { credentials: credentials.collect::<Result<_, _>>()? })
    }

    /// Sends the list of revoked X.509 SVIDs now, and again after each change.
    pub(crate) fn stream_revocations(&self) -> Result<MessageStream<StreamSignedCrlResponse>, Error> {
        self.revocations.stream(|serials| self.signed_crl(serials))
    }

    /// Revokes the X.509 SVID with this serial number.
    pub(crate) fn revoke_x509_svid(&self, serial: &[u8]) -> Result<(), Error> {
        self.revocations.revoke(serial, |serials| self.signed_crl(serials))
    }

    /// Returns the list of these serial numbers, signed by the SPIFFE authority; empty if nothing has been revoked.
    fn signed_crl(&self, serials: &SerialNumbers) -> Result<StreamSignedCrlResponse, Error> {
        if serials.is_empty() {
            return Ok(StreamSignedCrlResponse::default());
        }
        let crl = self.authorities().spiffe.active.tls()?.sign_crl(serials, (self.clock)())?.to_der()?;
        Ok(StreamSignedCrlResponse { crl })
    }

    /// Returns a page of the federations in the order of their names.
    pub(crate) fn spiffe_federations(
        &self,
        request: &ListSpiffeFederationsRequest,
    ) -> Result<ListSpiffeFederationsResponse, ApiError> {
        let size = usize::try_from(request.page_size)
            .map_err(|_| ApiError::invalid_argument("page_size: must not be negative"))?;
        let size = if size == 0 { MAX_PAGE_SIZE } else { size.min(MAX_PAGE_SIZE) };
        let state = self.state();
        let mut rest = state.federations.range(request.page_token.clone()..);
        let page = rest.by_ref().take(size).map(|(name, bundle)| SpiffeFederation {
            kind: "spiffe_federation".to_owned(),
            version: "v1".to_owned(),
            metadata: Some(header::v1::Metadata { name: name.clone() }),
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

    /// Returns the trusted keys of the SPIFFE authority as a JWKS document.
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
                key["kid"] = jwt.key_id().into();
                keys.push(key);
            }
        }
        Ok(json!({ "keys": keys, "spiffe_refresh_hint": 300 }).to_string())
    }

    /// Checks that one of the caller's roles allows `verb`. The bot's own role never does.
    fn check_issue_permission(&self, caller: &Caller, verb: &str) -> Result<(), ApiError> {
        let state = self.state();
        if state.roles(&caller.roles).any(|role| role.allow_workload_identities) {
            return Ok(());
        }
        Err(ApiError::permission_denied(format!(
            "access denied to perform action {verb:?} on \"workload_identity\""
        )))
    }

    fn credential(
        &self,
        identity: &WorkloadIdentity,
        params: &SvidParams<'_>,
        ttl: Duration,
    ) -> Result<Credential, ApiError> {
        let (now, ttl) = ((self.clock)(), ttl.min(identity.max_ttl));
        let spiffe_id = format!("spiffe://{}{}", self.name, identity.path);
        let not_after = match identity.forgery {
            Some(Forgery::Expired) => now - Duration::from_secs(1),
            _ => now + ttl,
        };
        let subject = match identity.forgery {
            Some(Forgery::WrongSpiffeId) => format!("{spiffe_id}/x"),
            _ => spiffe_id.clone(),
        };
        let svid = SvidContent { spiffe_id: &subject, times: (now, not_after), forgery: identity.forgery };
        let authorities = self.authorities();
        let (x509_svid, jwt_svid) = match params {
            SvidParams::X509(params) => (Some(svid.x509(&authorities, params)?), None),
            SvidParams::Jwt(params) => {
                let issuer = format!("https://{}/workload-identity", self.addr);
                (None, Some(svid.jwt(&authorities, params, &issuer)?))
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

/// The content of an SVID.
struct SvidContent<'a> {
    spiffe_id: &'a str,
    times: (SystemTime, SystemTime),
    forgery: Option<Forgery>,
}

impl SvidContent<'_> {
    fn x509(
        &self,
        authorities: &Authorities,
        params: &X509SvidParams,
    ) -> Result<X509SvidCredential, ApiError> {
        let mut key = SubjectPublicKeyInfoOwned::from_der(&params.public_key).map_err(|error| {
            ApiError::invalid_argument(format!("issuing X509 SVID\n\tparsing public key\n\t{error}"))
        })?;
        if self.forgery == Some(Forgery::WrongRecipient) {
            key = TlsKey::generate()?.spki()?;
        }
        let svid = authorities.x509_svid(key, self.spiffe_id, self.times, params.use_issuer_overrides)?;
        let cert = if self.forgery == Some(Forgery::Garbage) { b"garbage".to_vec() } else { svid.leaf };
        Ok(X509SvidCredential { cert, serial_number: String::new(), chain: svid.chain })
    }

    fn jwt(
        &self,
        authorities: &Authorities,
        params: &JwtSvidParams,
        issuer: &str,
    ) -> Result<JwtSvidCredential, ApiError> {
        let (now, not_after) = self.times;
        let audiences: Value = match self.forgery {
            Some(Forgery::WrongRecipient) => json!(["another"]),
            _ => json!(params.audiences),
        };
        let (key, jti) = (authorities.spiffe.active.jwt()?, uuid()?);
        let claims = json!({
            "sub": self.spiffe_id,
            "aud": audiences,
            "exp": unix_seconds(not_after),
            "iat": unix_seconds(now),
            "iss": issuer,
            "jti": jti,
        });
        let jwt = match self.forgery {
            Some(Forgery::Garbage) => "garbage".to_owned(),
            _ => key.sign(Some(&key.key_id()), &claims)?,
        };
        Ok(JwtSvidCredential { jwt, jti })
    }
}

/// Returns the requested validity or the default.
fn ttl(requested: Option<prost_types::Duration>) -> Result<Duration, ApiError> {
    match requested.map(Duration::try_from) {
        None => Ok(DEFAULT_TTL),
        Some(Ok(ttl)) => Ok(if ttl.is_zero() { DEFAULT_TTL } else { ttl }),
        Some(Err(_)) => Err(ApiError::invalid_argument("requested_ttl: must not be negative")),
    }
}
