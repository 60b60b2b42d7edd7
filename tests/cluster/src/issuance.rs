//! Issues certificates for joins, renewals, outputs and hosts. Applies the rules of [`crate::state`] with the
//! authorities of [`crate::authorities`]; independent of transports.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use prost_types::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::authorities::SubjectKeys;
use crate::authority::Authority;
use crate::error::{ApiError, Error};
use crate::identity::{Caller, CertHolder, INTERNAL_JOIN, Identity, Routes};
use crate::join_request::JoinRequest;
use crate::keys::uuid;
use crate::proto::{Certs, GenerateHostCertRequest, GenerateHostCertResponse, UserCertsRequest};
use crate::role::Role;
use crate::shared::Shared;
use crate::state::CertGrant;

/// The body of `POST /v2/ca/host/certs`.
#[derive(Debug, Deserialize)]
struct HostCertBody {
    /// An authorized_keys line in base64.
    key: String,
    principals: Vec<String>,
    auth_domain: String,
    roles: Vec<String>,
    /// In nanoseconds.
    ttl: u64,
}

impl Shared {
    /// Lets a bot join and issues its certificates.
    pub(crate) fn join(&self, request: &JoinRequest<'_>) -> Result<Certs, ApiError> {
        let now = (self.clock)();
        let grant = self.state().join(request, now)?;
        self.bot_certs(grant, request.keys.clone(), now)
    }

    /// Parses the keys of a join request: an authorized_keys line, and a PEM public key, which may be empty and which servers
    /// up to 16 ignore.
    pub(crate) fn join_keys(&self, ssh: &[u8], tls: &[u8]) -> Result<SubjectKeys, ApiError> {
        let counts = self.major_version() >= 17 && !tls.is_empty();
        subject_keys(ssh, counts.then_some(tls))
    }

    /// Serves `GenerateUserCerts`: issues the certificates of an output if there are role requests, and renews the
    /// bot's identity otherwise.
    pub(crate) fn user_certs(&self, caller: &Caller, request: &UserCertsRequest) -> Result<Certs, ApiError> {
        if caller.disallow_reissue {
            let message = "identity is not allowed to reissue certificates";
            return Err(ApiError::permission_denied(message));
        }
        if request.username != caller.username {
            return Err(ApiError::access_denied());
        }
        let non_empty = |key: &'_ Vec<u8>| (!key.is_empty()).then(|| key.clone());
        let older_key = if self.major_version() < 18 { request.public_key.clone() } else { Vec::new() };
        let ssh_key = non_empty(&request.ssh_public_key).unwrap_or(older_key);
        let keys = subject_keys(&ssh_key, non_empty(&request.tls_public_key).as_deref())?;
        let now = (self.clock)();
        // A real server reads a missing time as the year 1, which has passed as well.
        let expires = request.expires.and_then(system_time).unwrap_or(UNIX_EPOCH);
        if request.use_role_requests {
            self.output_certs(caller, request, keys, (now, expires))
        } else {
            let grant = self.state().renew(caller, expires, now)?;
            self.bot_certs(grant, keys, now)
        }
    }

    pub(crate) fn bot_certs(
        &self,
        grant: CertGrant,
        keys: SubjectKeys,
        now: SystemTime,
    ) -> Result<Certs, ApiError> {
        let identity = Identity {
            roles: vec![grant.user.clone()],
            username: grant.user,
            principals: principals(BTreeSet::new())?,
            route_to_cluster: self.name.clone(),
            kubernetes_cluster: self.kubernetes_cluster("")?,
            routes: Routes::default(),
            kubernetes_groups: Vec::new(),
            db_names: Vec::new(),
            db_users: Vec::new(),
            holder: CertHolder::Bot {
                generation: grant.generation,
                is_renewable: grant.is_renewable,
                instance: grant.instance,
            },
        };
        let mut certs = self.certs(&identity, keys, (now, grant.not_after))?;
        // A bot also has to verify servers, so its response includes the host CA.
        add_trusted_keys(&mut certs, &self.authorities().host);
        Ok(certs)
    }

    fn output_certs(
        &self,
        caller: &Caller,
        request: &UserCertsRequest,
        keys: SubjectKeys,
        (now, expires): (SystemTime, SystemTime),
    ) -> Result<Certs, ApiError> {
        let route = &request.route_to_cluster;
        let is_local = route.is_empty() || *route == self.name;
        if !is_local && !self.state().leaves.contains_key(route) {
            return Err(ApiError::not_found(format!("remote cluster {route:?} is not found")));
        }
        // The Kubernetes clusters of a leaf cluster are unknown here.
        let kubernetes_cluster =
            if is_local { self.kubernetes_cluster(&request.kubernetes_cluster)? } else { None };
        let state = self.state();
        let not_after = state.impersonate(&caller.username, &request.role_requests, expires, now)?;
        let roles: Vec<_> = state.roles(&request.role_requests).collect();
        let union = |field: fn(&Role) -> &Vec<String>| -> BTreeSet<String> {
            roles.iter().flat_map(|role| field(role)).cloned().collect()
        };
        let identity = Identity {
            username: caller.username.clone(),
            roles: request.role_requests.clone(),
            principals: principals(union(|role| &role.logins))?,
            route_to_cluster: if is_local { self.name.clone() } else { route.clone() },
            kubernetes_cluster,
            kubernetes_groups: union(|role| &role.kubernetes_groups).into_iter().collect(),
            db_names: union(|role| &role.db_names).into_iter().collect(),
            db_users: union(|role| &role.db_users).into_iter().collect(),
            routes: Routes {
                app: request.route_to_app.clone().filter(|route| !route.name.is_empty()),
                database: request.route_to_database.clone().filter(|route| !route.service_name.is_empty()),
            },
            holder: CertHolder::Output {
                bot_user: caller.username.clone(),
                reissuable: request.reissuable_role_impersonation,
            },
        };
        self.certs(&identity, keys, (now, not_after))
    }

    /// Serves `POST /v2/ca/host/certs`: returns a JSON string with a certificate line.
    pub(crate) fn host_cert(&self, caller: &Caller, body: &[u8]) -> Result<Value, ApiError> {
        let request: HostCertBody = serde_json::from_slice(body)
            .map_err(|error| ApiError::invalid_argument(format!("request: {error}")))?;
        let [role] = request.roles.as_slice() else {
            return Err(ApiError::invalid_argument(format!("not one role: {:?}", request.roles)));
        };
        let key = BASE64_STANDARD
            .decode(request.key)
            .map_err(|error| ApiError::invalid_argument(format!("key: {error}")))?;
        let line = self.certify_host(
            caller,
            &GenerateHostCertRequest {
                key,
                principals: request.principals,
                cluster_name: request.auth_domain,
                role: role.clone(),
                ttl: prost_types::Duration::try_from(Duration::from_nanos(request.ttl)).ok(),
            },
        )?;
        Ok(line.into())
    }

    /// Serves `GenerateHostCert`.
    pub(crate) fn generate_host_cert(
        &self,
        caller: &Caller,
        request: &GenerateHostCertRequest,
    ) -> Result<GenerateHostCertResponse, ApiError> {
        let line = self.certify_host(caller, request)?;
        Ok(GenerateHostCertResponse { ssh_certificate: line.into() })
    }

    fn certify_host(&self, caller: &Caller, request: &GenerateHostCertRequest) -> Result<String, ApiError> {
        let is_allowed = {
            let state = self.state();
            state.roles(&caller.roles).any(|role| role.allow_host_certs)
        };
        if !is_allowed {
            let message = r#"access denied to perform action "create" on "host_cert""#;
            return Err(ApiError::permission_denied(message));
        }
        if request.role != "Node" {
            return Err(ApiError::invalid_argument(format!("the role must be Node, not {:?}", request.role)));
        }
        if request.cluster_name != self.name {
            return Err(ApiError::invalid_argument(format!(
                "{:?} is not this cluster",
                request.cluster_name
            )));
        }
        let ttl = request.ttl.and_then(|ttl| Duration::try_from(ttl).ok());
        let ttl = ttl.ok_or_else(|| ApiError::invalid_argument("a valid ttl is required"))?;
        let now = (self.clock)();
        Ok(self.authorities().host_cert(&self.name, &request.key, &request.principals, (now, now + ttl))?)
    }

    fn certs(
        &self,
        identity: &Identity,
        keys: SubjectKeys,
        times: (SystemTime, SystemTime),
    ) -> Result<Certs, ApiError> {
        let authorities = self.authorities();
        let pair = authorities.user_certs(&self.name, identity, keys, times)?;
        let mut certs = Certs { ssh: pair.ssh.into(), tls: pair.tls.into(), ..Certs::default() };
        add_trusted_keys(&mut certs, &authorities.user);
        Ok(certs)
    }

    /// Returns the Kubernetes cluster for a certificate: the requested one, or the one with the name of this cluster,
    /// or the first by name. As on a real server, this applies to every certificate, whatever it is for.
    fn kubernetes_cluster(&self, requested: &str) -> Result<Option<String>, ApiError> {
        let state = self.state();
        let known = state.resources.kubernetes_names();
        if requested.is_empty() {
            let default = known.get(self.name.as_str()).or_else(|| known.first());
            return Ok(default.map(|name| (*name).to_owned()));
        }
        if !known.contains(requested) {
            return Err(ApiError::invalid_argument(format!(
                "kubernetes cluster {requested:?} is not registered in this teleport cluster; registered are {known:?}"
            )));
        }
        Ok(Some(requested.to_owned()))
    }
}

/// Adds the trusted keys of `authority` to a response.
fn add_trusted_keys(certs: &mut Certs, authority: &Authority) {
    for keys in authority.trusted() {
        certs.tls_ca_certs.extend(keys.tls.as_ref().map(|tls| tls.pem().into()));
        certs.ssh_ca_certs.extend(keys.ssh.as_ref().map(|ssh| ssh.public_line().into()));
    }
}

/// Returns the principals for these logins. An SSH certificate without principals would be valid for every login, so if
/// there are no logins, a random one is used that does not exist anywhere.
fn principals(logins: BTreeSet<String>) -> Result<Vec<String>, Error> {
    let mut principals: Vec<_> = logins.into_iter().collect();
    if principals.is_empty() {
        principals.push(format!("-teleport-nologin-{}", uuid()?));
    }
    principals.push(INTERNAL_JOIN.to_owned());
    Ok(principals)
}

fn subject_keys(ssh: &[u8], tls: Option<&[u8]>) -> Result<SubjectKeys, ApiError> {
    SubjectKeys::parse(ssh, tls)
        .map_err(|error| ApiError::invalid_argument(format!("failed to parse public key: {error}")))
}

fn system_time(timestamp: Timestamp) -> Option<SystemTime> {
    let seconds = u64::try_from(timestamp.seconds).ok()?;
    Some(UNIX_EPOCH + Duration::new(seconds, u32::try_from(timestamp.nanos).ok()?))
}
