//! Bots, roles, tokens, generations and locks, and the rules that change them. Depends on no I/O; one lock around the
//! whole makes every change atomic. Sources: protocol facts, sections 2.1, 2.3, 2.4, 5.4 and 5.5.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tonic::Code;

use crate::access::AppSession;
use crate::aws::AwsUser;
use crate::azure::{self, AzureMachine};
use crate::ca::Authorities;
use crate::error::{Error, Failure};
use crate::issue::{Join, Proof};
use crate::keys::{hex, random};
use crate::oidc::Trusted;
use crate::resources::Resources;
use crate::workload_identity::WorkloadIdentity;

/// No certificate lives longer.
pub(crate) const MAX_TTL: Duration = Duration::from_secs(24 * 60 * 60);
/// What a join gets that asks for no time.
pub(crate) const DEFAULT_TTL: Duration = Duration::from_secs(60 * 60);
/// `max_session_ttl` of the role that comes with a bot.
const BOT_ROLE_TTL: Duration = Duration::from_secs(12 * 60 * 60);
const TOKEN_TTL: Duration = Duration::from_secs(60 * 60);

/// A role that a bot may ask for in an output.
#[derive(Clone, Debug)]
pub struct Role {
    pub name: String,
    /// SSH logins, the principals of a certificate. Without any, a login that nobody has is made up.
    pub logins: Vec<String>,
    pub kubernetes_groups: Vec<String>,
    pub db_names: Vec<String>,
    pub db_users: Vec<String>,
    /// Whether the role has the rule to create host certificates.
    pub host_cert: bool,
    /// Whether the role has the rule to read and list workload identities, and labels for all of them.
    pub workload_identities: bool,
    /// Caps the life of certificates that carry this role.
    pub max_session_ttl: Duration,
}

impl Role {
    /// The role of the recordings: logins `root` and `ubuntu`, Kubernetes as `system:masters`, every database, host
    /// certificates; and workload identities, of which there were none.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            logins: vec!["root".into(), "ubuntu".into()],
            kubernetes_groups: vec!["system:masters".into()],
            db_names: vec!["*".into()],
            db_users: vec!["*".into()],
            host_cert: true,
            workload_identities: true,
            max_session_ttl: Duration::from_secs(30 * 60 * 60),
        }
    }
}

#[derive(Debug)]
struct Bot {
    /// What the bot's own role may impersonate.
    impersonates: Vec<String>,
    /// 0 until the bot has joined; then the number on its newest renewable certificate.
    generation: u64,
    locked: bool,
}

struct Token {
    bot: String,
    kind: TokenKind,
}

enum TokenKind {
    /// Works until then, and once.
    Once { expires: SystemTime },
    /// Works with an identity token beside it.
    Oidc(Trusted),
    /// Works with what this user has signed.
    Aws(AwsUser),
    /// Works with what this machine says.
    Azure(Arc<AzureMachine>),
}

impl TokenKind {
    /// What is wrong with what was presented.
    fn check(&self, proof: Proof<'_>, now: SystemTime) -> Result<(), String> {
        match (self, proof) {
            (Self::Once { expires }, Proof::None | Proof::IdToken(_)) if *expires > now => Ok(()),
            (Self::Once { .. }, Proof::None | Proof::IdToken(_)) => Err(UNKNOWN.to_owned()),
            (Self::Oidc(trusted), Proof::IdToken(token)) => {
                trusted.check(token, now).map_err(|problem| format!("the identity token {problem}"))
            }
            (Self::Oidc(_), Proof::None) => Err("the identity token is not a signed token".to_owned()),
            (Self::Aws(user), Proof::Aws { request, challenge }) => {
                let checked = user.check(request, challenge, now);
                checked.map_err(|problem| format!("the request to STS {problem}"))
            }
            (Self::Azure(machine), Proof::Azure { document, access_token, challenge }) => {
                azure::check(machine, (document, access_token), challenge, now)
            }
            _ => Err("the token is for another join method".to_owned()),
        }
    }
}

const UNKNOWN: &str = "token expired or not found";

impl Bot {
    /// What is presented is taken for a stolen copy, and the bot is locked for good.
    fn mismatch(&mut self, presented: u64) -> Failure {
        self.locked = true;
        let stored = self.generation;
        let text = format!("renewable cert generation mismatch: stored={stored}, presented={presented}");
        Failure::new(Code::PermissionDenied, text)
    }
}

/// A certificate that the rules allow: for whom, with which generation if it is counted, until when.
#[derive(Debug)]
pub(crate) struct Allowed {
    pub(crate) user: String,
    pub(crate) generation: Option<u64>,
    pub(crate) not_after: SystemTime,
}

/// All that the cluster remembers. Bots are kept under their bare name, callers appear as `bot-<name>`.
#[derive(Default)]
pub(crate) struct State {
    bots: BTreeMap<String, Bot>,
    roles: BTreeMap<String, Role>,
    tokens: BTreeMap<String, Token>,
    pub(crate) resources: Resources,
    /// By id.
    pub(crate) app_sessions: BTreeMap<String, AppSession>,
    /// Clusters that trust this one, by name.
    pub(crate) leaves: BTreeMap<String, Arc<Authorities>>,
    /// By name.
    pub(crate) workloads: BTreeMap<String, WorkloadIdentity>,
    /// Other trust domains by name, with the bundle of each that is known.
    pub(crate) federations: BTreeMap<String, Option<String>>,
}

/// The user, and the role, that belong to a bot.
pub(crate) fn user_of(bot: &str) -> String {
    format!("bot-{bot}")
}

impl State {
    /// Adds a bot and returns its first token. Roles that nobody has defined are made as [`Role::new`] makes them.
    pub(crate) fn add_bot(&mut self, name: &str, roles: &[&str], now: SystemTime) -> Result<String, Error> {
        if self.bots.contains_key(name) {
            return Err(Error::BotExists(name.to_owned()));
        }
        for role in roles {
            self.roles.entry((*role).to_owned()).or_insert_with(|| Role::new(*role));
        }
        let impersonates = roles.iter().map(|role| (*role).to_owned()).collect();
        self.bots.insert(name.to_owned(), Bot { impersonates, generation: 0, locked: false });
        self.add_token(name, now)
    }

    pub(crate) fn add_token(&mut self, bot: &str, now: SystemTime) -> Result<String, Error> {
        if !self.bots.contains_key(bot) {
            return Err(Error::NoSuchBot(bot.to_owned()));
        }
        let token = hex(&random::<16>()?);
        let kind = TokenKind::Once { expires: now + TOKEN_TTL };
        self.tokens.insert(token.clone(), Token { bot: bot.to_owned(), kind });
        Ok(token)
    }

    pub(crate) fn add_oidc_token(&mut self, bot: &str, name: &str, trusted: Trusted) -> Result<(), Error> {
        self.add_proven_token(bot, name, TokenKind::Oidc(trusted))
    }

    pub(crate) fn add_aws_token(&mut self, bot: &str, name: &str, user: AwsUser) -> Result<(), Error> {
        self.add_proven_token(bot, name, TokenKind::Aws(user))
    }

    pub(crate) fn add_azure_token(
        &mut self,
        bot: &str,
        name: &str,
        machine: Arc<AzureMachine>,
    ) -> Result<(), Error> {
        self.add_proven_token(bot, name, TokenKind::Azure(machine))
    }

    fn add_proven_token(&mut self, bot: &str, name: &str, kind: TokenKind) -> Result<(), Error> {
        if !self.bots.contains_key(bot) {
            return Err(Error::NoSuchBot(bot.to_owned()));
        }
        self.tokens.insert(name.to_owned(), Token { bot: bot.to_owned(), kind });
        Ok(())
    }

    pub(crate) fn remove_bot(&mut self, name: &str) {
        self.bots.remove(name);
        self.tokens.retain(|_, token| token.bot != name);
    }

    pub(crate) fn set_role(&mut self, role: Role) {
        self.roles.insert(role.name.clone(), role);
    }

    pub(crate) fn role(&self, name: &str) -> Option<&Role> {
        self.roles.get(name)
    }

    pub(crate) fn generation(&self, bot: &str) -> Option<u64> {
        self.bots.get(bot).map(|bot| bot.generation)
    }

    pub(crate) fn is_locked(&self, bot: &str) -> bool {
        self.bots.get(bot).is_some_and(|bot| bot.locked)
    }

    /// What the role `name` lets its holder impersonate, when it is a bot's role.
    pub(crate) fn impersonates(&self, name: &str) -> Option<(&str, &[String])> {
        let (bot, entry) = self.bots.get_key_value(name.strip_prefix("bot-")?)?;
        Some((bot, &entry.impersonates))
    }

    /// Refuses a user that is locked or gone, without saying which.
    pub(crate) fn admit(&self, user: &str) -> Result<(), Failure> {
        match user.strip_prefix("bot-").and_then(|bot| self.bots.get(bot)) {
            Some(bot) if !bot.locked => Ok(()),
            _ => Err(Failure::access_denied()),
        }
    }

    /// Lets a bot in. A token that works once is used up, and the bot gets generation 1; with a proof nothing is counted,
    /// and a bot that is counted already is locked.
    pub(crate) fn join(&mut self, join: &Join<'_>, now: SystemTime) -> Result<Allowed, Failure> {
        let refused = |why: &str| {
            let text = format!("{:?} can not join the cluster with role \"Bot\", {why}", join.host);
            Failure::new(Code::PermissionDenied, text)
        };
        let unknown = || refused(UNKNOWN);
        let found = self.tokens.get(join.token).ok_or_else(unknown)?;
        let bot = self.bots.get_mut(&found.bot).ok_or_else(unknown)?;
        let user = user_of(&found.bot);
        found.kind.check(join.proof, now).map_err(|problem| refused(&problem))?;
        if bot.locked {
            return Err(Failure::access_denied());
        }
        let counted = matches!(found.kind, TokenKind::Once { .. });
        if !counted && bot.generation > 0 {
            return Err(bot.mismatch(0));
        }
        if counted && bot.generation > 0 {
            let text =
                format!("user {user:?} has already been issued a renewable certificate, recreate the bot");
            return Err(Failure::new(Code::InvalidArgument, text));
        }
        let not_after = cap(join.expires.unwrap_or(now + DEFAULT_TTL), now, [BOT_ROLE_TTL])?;
        if counted {
            bot.generation = 1;
            self.tokens.remove(join.token);
        }
        Ok(Allowed { user, generation: counted.then_some(1), not_after })
    }

    /// Counts a renewal. A certificate that is not the newest one is taken for a stolen copy: the bot is locked for good.
    pub(crate) fn renew(
        &mut self,
        user: &str,
        presented: Option<u64>,
        expires: SystemTime,
        now: SystemTime,
    ) -> Result<Allowed, Failure> {
        self.admit(user)?;
        let Some(bot) = user.strip_prefix("bot-").and_then(|bot| self.bots.get_mut(bot)) else {
            return Err(Failure::access_denied());
        };
        let not_after = cap(expires, now, [BOT_ROLE_TTL])?;
        let presented = presented.ok_or_else(Failure::access_denied)?;
        if presented != bot.generation {
            return Err(bot.mismatch(presented));
        }
        bot.generation += 1;
        Ok(Allowed { user: user.to_owned(), generation: Some(bot.generation), not_after })
    }

    /// Whether `user`, as its own bot, may take on `roles`, and until when.
    pub(crate) fn impersonate(
        &self,
        user: &str,
        roles: &[String],
        expires: SystemTime,
        now: SystemTime,
    ) -> Result<SystemTime, Failure> {
        if roles.is_empty() {
            return Err(Failure::new(Code::InvalidArgument, "at least one role request is required"));
        }
        let allowed = self.impersonates(user).map(|(_, roles)| roles).unwrap_or_default();
        if !roles.iter().all(|role| allowed.contains(role)) {
            let wanted = roles.iter().map(|role| format!("{role:?}")).collect::<Vec<_>>().join(" ");
            let text = format!("user {user:?} has requested role impersonation for [{wanted}]");
            return Err(Failure::new(Code::PermissionDenied, text));
        }
        cap(expires, now, roles.iter().filter_map(|role| self.role(role)).map(|role| role.max_session_ttl))
    }
}

/// The wanted end, no later than any limit allows. An end that has passed is refused with the words that an absent one
/// gets on the wire (it reads as the year 1).
fn cap(
    expires: SystemTime,
    now: SystemTime,
    limits: impl IntoIterator<Item = Duration>,
) -> Result<SystemTime, Failure> {
    if expires <= now {
        let text = "access denied: client credentials have expired, please relogin.";
        return Err(Failure::new(Code::PermissionDenied, text));
    }
    let ttl = limits.into_iter().fold(MAX_TTL, Duration::min);
    Ok(expires.min(now + ttl))
}
