//! The two things a bot asks for: to join, and to get certificates. Puts the rules of [`crate::state`] and the
//! authorities of [`crate::ca`] together; knows no transport.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prost_types::Timestamp;
use tonic::Code;

use crate::Shared;
use crate::ca::SubjectKeys;
use crate::error::{Error, Failure};
use crate::identity::{Caller, INTERNAL_JOIN, Identity, Routes, Standing};
use crate::keys::uuid;
use crate::proto::{Certs, UserCertsRequest};
use crate::rotation::Authority;
use crate::state::Allowed;

/// A join, decoded.
pub(crate) struct Join<'a> {
    pub(crate) token: &'a str,
    pub(crate) proof: Proof<'a>,
    /// Who the caller says it is; bots say nothing.
    pub(crate) host: &'a str,
    /// One authorized_keys line. The key for the X.509 certificate is ignored for bots, as it is in version 15.
    pub(crate) ssh_key: &'a [u8],
    pub(crate) expires: Option<SystemTime>,
}

/// What a token that is no secret needs beside it.
#[derive(Clone, Copy)]
pub(crate) enum Proof<'a> {
    None,
    IdToken(&'a str),
    Aws { request: &'a [u8], challenge: &'a str },
    Azure { document: &'a [u8], access_token: &'a str, challenge: &'a str },
}

impl Shared {
    /// A bot's certificates, for a token that works once or for a proof.
    pub(crate) fn join(&self, join: &Join<'_>) -> Result<Certs, Failure> {
        let keys = subject_keys(join.ssh_key, None)?;
        let now = (self.clock)();
        let allowed = self.state().join(join, now)?;
        self.bot_certs(allowed, keys, now)
    }

    /// A renewal, or, with role requests, the certificates of an output.
    pub(crate) fn user_certs(&self, caller: &Caller, request: &UserCertsRequest) -> Result<Certs, Failure> {
        if caller.disallow_reissue {
            let text = "identity is not allowed to reissue certificates";
            return Err(Failure::new(Code::PermissionDenied, text));
        }
        if request.username != caller.username {
            return Err(Failure::access_denied());
        }
        let or = |new: &'_ Vec<u8>| (!new.is_empty()).then(|| new.clone());
        let ssh_key = or(&request.ssh_public_key).unwrap_or_else(|| request.public_key.clone());
        let keys = subject_keys(&ssh_key, or(&request.tls_public_key).as_deref())?;
        let now = (self.clock)();
        // Absent is the year 1 on the server, which has passed like any other.
        let expires = request.expires.and_then(system_time).unwrap_or(UNIX_EPOCH);
        if request.use_role_requests {
            self.output_certs(caller, request, keys, (now, expires))
        } else {
            let allowed = self.state().renew(&caller.username, caller.generation, expires, now)?;
            self.bot_certs(allowed, keys, now)
        }
    }

    fn bot_certs(&self, allowed: Allowed, keys: SubjectKeys, now: SystemTime) -> Result<Certs, Failure> {
        let identity = Identity {
            roles: vec![allowed.user.clone()],
            username: allowed.user,
            principals: principals(BTreeSet::new())?,
            route_to_cluster: self.name.clone(),
            kubernetes_cluster: self.kubernetes_cluster("")?,
            routes: Routes::default(),
            kubernetes_groups: Vec::new(),
            db_names: Vec::new(),
            db_users: Vec::new(),
            standing: Standing::Bot { generation: allowed.generation },
        };
        let mut certs = self.certs(&identity, keys, (now, allowed.not_after))?;
        // Whoever holds a counted certificate also needs to know the servers, so the host CA comes along.
        trust(&mut certs, &self.authorities().host);
        Ok(certs)
    }

    fn output_certs(
        &self,
        caller: &Caller,
        request: &UserCertsRequest,
        keys: SubjectKeys,
        (now, expires): (SystemTime, SystemTime),
    ) -> Result<Certs, Failure> {
        let route = &request.route_to_cluster;
        let is_local = route.is_empty() || *route == self.name;
        if !is_local && !self.state().leaves.contains_key(route) {
            let text = format!("remote cluster {:?} is not found", request.route_to_cluster);
            return Err(Failure::new(Code::NotFound, text));
        }
        // What another cluster has is not known here.
        let kubernetes_cluster =
            if is_local { self.kubernetes_cluster(&request.kubernetes_cluster)? } else { None };
        let state = self.state();
        let not_after = state.impersonate(&caller.username, &request.role_requests, expires, now)?;
        let roles: Vec<_> = request.role_requests.iter().filter_map(|role| state.role(role)).collect();
        let union = |of: fn(&crate::Role) -> &Vec<String>| -> BTreeSet<String> {
            roles.iter().flat_map(|role| of(role)).cloned().collect()
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
            standing: Standing::Impersonated {
                by: caller.username.clone(),
                reissuable: request.reissuable_role_impersonation,
            },
        };
        self.certs(&identity, keys, (now, not_after))
    }

    fn certs(
        &self,
        identity: &Identity,
        keys: SubjectKeys,
        times: (SystemTime, SystemTime),
    ) -> Result<Certs, Failure> {
        let authorities = self.authorities();
        let pair = authorities.issue(&self.name, identity, keys, times)?;
        let mut certs = Certs { ssh: pair.ssh.into(), tls: pair.tls.into(), ..Certs::default() };
        trust(&mut certs, &authorities.user);
        Ok(certs)
    }

    /// The Kubernetes cluster that a certificate names: the one asked for, else the one called like this cluster, else
    /// the first by name. A certificate for something else altogether gets one all the same.
    fn kubernetes_cluster(&self, wanted: &str) -> Result<Option<String>, Failure> {
        let state = self.state();
        let known = state.resources.kubernetes();
        let named = |name: &str| Some(name.to_owned());
        if wanted.is_empty() {
            return Ok(known.get(self.name.as_str()).or_else(|| known.first()).and_then(|name| named(name)));
        }
        known.get(wanted).map(|name| named(name)).ok_or_else(|| {
            let text = format!(
                "kubernetes cluster {wanted:?} is not registered in this teleport cluster; known are {known:?}"
            );
            Failure::new(Code::InvalidArgument, text)
        })
    }
}

/// Adds every key of `authority` that verifies to what a reply tells its caller to trust.
fn trust(certs: &mut Certs, authority: &Authority) {
    for keys in authority.trusted() {
        certs.tls_ca_certs.extend(keys.tls.as_ref().map(|tls| tls.pem().into()));
        certs.ssh_ca_certs.extend(keys.ssh.as_ref().map(|ssh| ssh.public_line().into()));
    }
}

/// An SSH certificate without principals would be good for every login, so one that nobody has is made up.
fn principals(logins: BTreeSet<String>) -> Result<Vec<String>, Error> {
    let mut principals: Vec<_> = logins.into_iter().collect();
    if principals.is_empty() {
        principals.push(format!("-teleport-nologin-{}", uuid()?));
    }
    principals.push(INTERNAL_JOIN.to_owned());
    Ok(principals)
}

fn subject_keys(ssh: &[u8], tls: Option<&[u8]>) -> Result<SubjectKeys, Failure> {
    SubjectKeys::parse(ssh, tls)
        .map_err(|error| Failure::new(Code::InvalidArgument, format!("failed to parse public key: {error}")))
}

fn system_time(timestamp: Timestamp) -> Option<SystemTime> {
    let seconds = u64::try_from(timestamp.seconds).ok()?;
    Some(UNIX_EPOCH + Duration::new(seconds, u32::try_from(timestamp.nanos).ok()?))
}
