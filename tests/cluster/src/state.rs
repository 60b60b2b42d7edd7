//! The bots, roles, tokens, generations and locks of a cluster, and the rules that change them. One mutex around
//! [`State`] makes every change atomic. Performs no I/O.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::authorities::{Authorities, MAX_TTL};
use crate::bound_keypair::{BoundKeypairPlan, BoundKeypairToken};
use crate::error::{ApiError, Error};
use crate::identity::Caller;
use crate::join_request::{JoinDenied, JoinRequest, TokenMethod};
use crate::keys::{hex, random, uuid};
use crate::resources::Resources;
use crate::role::Role;
use crate::workload_identity::WorkloadIdentity;

/// The validity of a join's certificates if the request does not specify one.
const DEFAULT_TTL: Duration = Duration::from_secs(60 * 60);
/// The `max_session_ttl` of the role that is created with a bot.
const BOT_ROLE_TTL: Duration = Duration::from_secs(12 * 60 * 60);
/// The lifetime of a single-use token.
const TOKEN_TTL: Duration = Duration::from_secs(60 * 60);

#[derive(Debug)]
struct Bot {
    /// The roles that the bot's own role may impersonate.
    impersonates: Vec<String>,
    /// 0 until the bot has joined; then the generation of its newest renewable certificate.
    generation: u64,
    locked: bool,
    /// How often each instance has joined or renewed, by id. Empty on servers that keep no record of instances.
    instances: BTreeMap<String, u64>,
}

impl Bot {
    /// Locks the bot permanently, because a wrong generation indicates a stolen copy of its identity.
    fn lock(&mut self, presented: u64) -> ApiError {
        self.locked = true;
        let stored = self.generation;
        let message = format!("renewable cert generation mismatch: stored={stored}, presented={presented}");
        ApiError::permission_denied(message)
    }
}

impl Bot {
    /// Counts a join or a renewal of the instance `id`, or of a new one, and returns its id.
    fn count_instance(&mut self, id: Option<&str>) -> Result<String, Error> {
        let id = match id {
            Some(id) => id.to_owned(),
            None => uuid()?,
        };
        *self.instances.entry(id.clone()).or_default() += 1;
        Ok(id)
    }
}

struct Token {
    bot: String,
    method: TokenMethod,
}

/// An application session.
#[derive(Clone, Debug)]
pub(crate) struct AppSession {
    pub(crate) user: String,
    /// Whether the session has been requested before. The first request finds nothing, as on a real server, whose cache
    /// learns of a new session with a delay.
    pub(crate) was_requested: bool,
}

/// The permission to issue a bot's own certificate.
#[derive(Debug)]
pub(crate) struct CertGrant {
    pub(crate) user: String,
    pub(crate) generation: Option<u64>,
    pub(crate) is_renewable: bool,
    /// The bot instance, if the server keeps a record of it.
    pub(crate) instance: Option<String>,
    pub(crate) not_after: SystemTime,
}

/// The state of a cluster. Bots are stored under their plain name; their user name in certificates is `bot-<name>`.
#[derive(Default)]
pub(crate) struct State {
    /// The types of keys that clients should use. Empty for the default, which is `legacy`.
    pub(crate) signature_algorithm_suite: String,
    /// Whether there is a record of each bot instance, as on servers from version 17 on.
    pub(crate) keeps_instances: bool,
    bots: BTreeMap<String, Bot>,
    roles: BTreeMap<String, Role>,
    tokens: BTreeMap<String, Token>,
    pub(crate) resources: Resources,
    /// By id.
    pub(crate) app_sessions: BTreeMap<String, AppSession>,
    /// The leaf clusters, by name.
    pub(crate) leaves: BTreeMap<String, Arc<Authorities>>,
    /// The addresses of nodes, by name.
    pub(crate) nodes: BTreeMap<String, SocketAddr>,
    /// By name.
    pub(crate) workloads: BTreeMap<String, WorkloadIdentity>,
    /// The bundles of federated trust domains, by domain; `None` if a bundle has not been fetched yet.
    pub(crate) federations: BTreeMap<String, Option<String>>,
}

impl State {
    /// Adds a bot and returns its first token. Undefined roles are created with [`Role::new`].
    pub(crate) fn add_bot(&mut self, name: &str, roles: &[&str], now: SystemTime) -> Result<String, Error> {
        if self.bots.contains_key(name) {
            return Err(Error::BotExists(name.to_owned()));
        }
        for role in roles {
            self.roles.entry((*role).to_owned()).or_insert_with(|| Role::new(*role));
        }
        let impersonates = roles.iter().map(|role| (*role).to_owned()).collect();
        self.bots.insert(
            name.to_owned(),
            Bot { impersonates, generation: 0, locked: false, instances: BTreeMap::new() },
        );
        self.add_single_use_token(name, now)
    }

    /// Adds a single-use token and returns it.
    pub(crate) fn add_single_use_token(&mut self, bot: &str, now: SystemTime) -> Result<String, Error> {
        let token = hex(&random::<16>()?);
        self.add_token(bot, &token, TokenMethod::SingleUse { expires: now + TOKEN_TTL })?;
        Ok(token)
    }

    pub(crate) fn add_token(&mut self, bot: &str, name: &str, method: TokenMethod) -> Result<(), Error> {
        if !self.bots.contains_key(bot) {
            return Err(Error::BotNotFound(bot.to_owned()));
        }
        self.tokens.insert(name.to_owned(), Token { bot: bot.to_owned(), method });
        Ok(())
    }

    pub(crate) fn remove_bot(&mut self, name: &str) {
        self.bots.remove(name);
        self.tokens.retain(|_, token| token.bot != name);
    }

    pub(crate) fn set_role(&mut self, role: Role) {
        self.roles.insert(role.name.clone(), role);
    }

    /// Iterates over the roles with these names that exist.
    pub(crate) fn roles<'a>(&'a self, names: &'a [String]) -> impl Iterator<Item = &'a Role> {
        names.iter().filter_map(|name| self.role(name))
    }

    pub(crate) fn role(&self, name: &str) -> Option<&Role> {
        self.roles.get(name)
    }

    pub(crate) fn generation(&self, bot: &str) -> Option<u64> {
        self.bots.get(bot).map(|bot| bot.generation)
    }

    /// Returns how often each instance of a bot has joined or renewed, in no particular order.
    pub(crate) fn instances(&self, bot: &str) -> Vec<u64> {
        self.bots.get(bot).map(|bot| bot.instances.values().copied().collect()).unwrap_or_default()
    }

    /// Returns whether the token `name` exists and may be for the join method `method`.
    pub(crate) fn accepts_method(&self, token: &str, method: &str) -> Option<bool> {
        self.tokens.get(token).map(|token| token.method.may_be(method))
    }

    pub(crate) fn is_locked(&self, bot: &str) -> bool {
        self.bots.get(bot).is_some_and(|bot| bot.locked)
    }

    /// Returns the bot that owns the role `role` and the roles that it may impersonate. `None` if the role does not
    /// belong to a bot.
    pub(crate) fn impersonates(&self, role: &str) -> Option<(&str, &[String])> {
        let (name, bot) = self.bots.get_key_value(role.strip_prefix("bot-")?)?;
        Some((name, &bot.impersonates))
    }

    /// Refuses a user that is locked or does not exist.
    pub(crate) fn admit(&self, user: &str) -> Result<(), ApiError> {
        match user.strip_prefix("bot-").and_then(|bot| self.bots.get(bot)) {
            Some(bot) if !bot.locked => Ok(()),
            Some(_) => Err(ApiError::access_denied()),
            None => Err(ApiError::not_found(format!("access denied\n\tuser {user:?} not found"))),
        }
    }

    /// Lets a bot join. A single-use token is consumed and starts generation 1. A join with an attestation has no
    /// generation. Servers without a record of instances lock a bot that already has one.
    pub(crate) fn join(&mut self, request: &JoinRequest<'_>, now: SystemTime) -> Result<CertGrant, ApiError> {
        let denied = |reason: JoinDenied| {
            let host = request.host;
            ApiError::permission_denied(format!(
                "{host:?} can not join the cluster with role \"Bot\", {reason}"
            ))
        };
        let unknown = || denied(JoinDenied::UnknownToken);
        let token = self.tokens.get(request.token).ok_or_else(unknown)?;
        let bot = self.bots.get_mut(&token.bot).ok_or_else(unknown)?;
        let user = format!("bot-{}", token.bot);
        token.method.verify(request.attestation, now).map_err(denied)?;
        if bot.locked {
            return Err(ApiError::access_denied());
        }
        let single_use = matches!(token.method, TokenMethod::SingleUse { .. });
        if bot.generation > 0 && !self.keeps_instances {
            if !single_use {
                return Err(bot.lock(0));
            }
            return Err(ApiError::invalid_argument(format!(
                "user {user:?} has already been issued a renewable certificate, recreate the bot"
            )));
        }
        let not_after = limit_expiry(request.expires.unwrap_or(now + DEFAULT_TTL), now, [BOT_ROLE_TTL])?;
        if single_use {
            bot.generation = 1;
            self.tokens.remove(request.token);
        }
        let instance = if self.keeps_instances {
            let own = request.caller.filter(|caller| caller.username == user);
            Some(bot.count_instance(own.and_then(|caller| caller.instance.as_deref()))?)
        } else {
            None
        };
        let generation = single_use.then_some(1);
        Ok(CertGrant { user, generation, is_renewable: single_use, instance, not_after })
    }

    /// Returns the token `name` for the join method `bound_keypair`.
    pub(crate) fn bound_keypair(&mut self, name: &str) -> Option<&mut BoundKeypairToken> {
        match &mut self.tokens.get_mut(name)?.method {
            TokenMethod::BoundKeypair(token) => Some(token),
            _ => None,
        }
    }

    /// Lets a bot join that has proved to have the key pair `public_key`, according to a plan of its token. A join with a
    /// certificate keeps the instance, and locks the token if the generation is not the newest; any other is a new instance.
    pub(crate) fn join_with_bound_keypair(
        &mut self,
        name: &str,
        plan: &BoundKeypairPlan,
        public_key: &str,
        request: &JoinRequest<'_>,
        now: SystemTime,
    ) -> Result<CertGrant, ApiError> {
        let denied = || ApiError::permission_denied("token expired or not found");
        let token = self.tokens.get_mut(name).ok_or_else(denied)?;
        let bot = self.bots.get_mut(&token.bot).ok_or_else(denied)?;
        let user = format!("bot-{}", token.bot);
        let TokenMethod::BoundKeypair(token) = &mut token.method else { return Err(denied()) };
        if bot.locked || token.is_locked {
            return Err(ApiError::access_denied());
        }
        let caller = request.caller.filter(|_| !plan.is_recovery);
        let id = caller.and_then(|caller| caller.instance.as_deref());
        let presented = caller.and_then(|caller| caller.generation).unwrap_or_default();
        let stored = id.and_then(|id| bot.instances.get(id)).copied().unwrap_or_default();
        if presented != stored {
            token.is_locked = true;
            return Err(ApiError::permission_denied(format!(
                "cert generation mismatch for bot {user}: stored={stored}, presented={presented}"
            )));
        }
        let not_after = limit_expiry(request.expires.unwrap_or(now + DEFAULT_TTL), now, [BOT_ROLE_TTL])?;
        let instance = bot.count_instance(id)?;
        if plan.is_recovery {
            token.recovery_count += 1;
        }
        if plan.rotates {
            token.last_rotated_at = Some(now);
        }
        token.bound_public_key = Some(public_key.to_owned());
        token.bound_instance = Some(instance.clone());
        let generation = Some(stored + 1);
        Ok(CertGrant { user, generation, is_renewable: false, instance: Some(instance), not_after })
    }

    /// Refuses a certificate that was issued for a token that is now locked.
    pub(crate) fn admit_instance(&self, caller: &Caller) -> Result<(), ApiError> {
        let is_locked = self.tokens.values().any(|token| match &token.method {
            TokenMethod::BoundKeypair(token) => token.is_locked && token.bound_instance == caller.instance,
            _ => false,
        });
        if is_locked { Err(ApiError::access_denied()) } else { Ok(()) }
    }

    /// Renews a bot's identity and increments its generation. A certificate other than the newest one locks the bot.
    pub(crate) fn renew(
        &mut self,
        caller: &Caller,
        expires: SystemTime,
        now: SystemTime,
    ) -> Result<CertGrant, ApiError> {
        let user = &caller.username;
        self.admit(user)?;
        let Some(bot) = user.strip_prefix("bot-").and_then(|bot| self.bots.get_mut(bot)) else {
            return Err(ApiError::access_denied());
        };
        let not_after = limit_expiry(expires, now, [BOT_ROLE_TTL])?;
        let presented = caller.generation.filter(|_| caller.is_renewable);
        let presented = presented.ok_or_else(ApiError::access_denied)?;
        if presented != bot.generation {
            return Err(bot.lock(presented));
        }
        bot.generation += 1;
        let instance = caller.instance.as_deref().map(|id| bot.count_instance(Some(id))).transpose()?;
        let generation = Some(bot.generation);
        Ok(CertGrant { user: user.clone(), generation, is_renewable: true, instance, not_after })
    }

    /// Checks whether the bot `user` may impersonate `roles`, and returns the expiry of its certificate.
    pub(crate) fn impersonate(
        &self,
        user: &str,
        roles: &[String],
        expires: SystemTime,
        now: SystemTime,
    ) -> Result<SystemTime, ApiError> {
        if roles.is_empty() {
            return Err(ApiError::invalid_argument("at least one role request is required"));
        }
        let allowed = self.impersonates(user).map(|(_, roles)| roles).unwrap_or_default();
        if !roles.iter().all(|role| allowed.contains(role)) {
            let requested = roles.iter().map(|role| format!("{role:?}")).collect::<Vec<_>>().join(" ");
            return Err(ApiError::permission_denied(format!(
                "user {user:?} has requested role impersonation for [{requested}]"
            )));
        }
        let limits = self.roles(roles).map(|role| role.max_session_ttl);
        limit_expiry(expires, now, limits)
    }
}

/// Returns the requested expiry, reduced to what the limits allow. A time in the past is refused with the same
/// message as a missing one, which a real server reads as the year 1.
fn limit_expiry(
    expires: SystemTime,
    now: SystemTime,
    limits: impl IntoIterator<Item = Duration>,
) -> Result<SystemTime, ApiError> {
    if expires <= now {
        let message = "access denied: client credentials have expired, please relogin.";
        return Err(ApiError::permission_denied(message));
    }
    let ttl = limits.into_iter().fold(MAX_TTL, Duration::min);
    Ok(expires.min(now + ttl))
}
