//! From the configuration to what runs: refuses, fills in defaults, opens the storage. The only reader of [`Config`]
//! beside `unsupported`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Inner;
use super::address::Address;
use super::destination::{Destination, Place};
use super::discovery::Setting;
use super::error::AgentError;
use super::options::AgentOptions;
use super::output::Output;
use super::renewal::{Bot, Onboarding};
use super::route::Route;
use super::storage::Storage;
use super::task::blocking;
use super::token::TokenSetting;
use super::unsupported::Unsupported;
use super::web::Web;
use crate::config::{self, Config, Identity, Service, ServiceFields as _, SshConfigMode, SymlinkMode, is_on};

/// A configuration that can be run.
pub(super) struct Plan {
    options: AgentOptions,
    route: Route,
    web: Web,
    setting: Setting,
    token: Option<TokenSetting>,
    storage: Place,
    outputs: Vec<Output>,
    ttl: Duration,
    interval: Duration,
    proxy_address: Option<String>,
}

impl Plan {
    pub(super) fn new(config: &Config, options: AgentOptions) -> Result<Self, AgentError> {
        Unsupported::check(config)?;
        let onboarding = config.onboarding.as_ref();
        if onboarding.and_then(|onboarding| onboarding.join_method).is_none() {
            return Err(AgentError::NoJoinMethod);
        }
        let (setting, written) = address(config)?;
        let address: Address =
            written.parse().map_err(|error| AgentError::Address { setting: setting.name(), error })?;
        let insecure = is_on(config.insecure);
        let route = Route::new(address, &options.environment, insecure, options.clock.clone())?;
        let web = Web::new(&route, &options.environment)?;
        if insecure {
            tracing::warn!("insecure is set: nobody's certificate is checked, which is for tests only");
        }
        let pins = onboarding
            .is_some_and(|o| o.ca_path.is_some() || o.ca_pins.as_ref().is_some_and(|p| !p.is_empty()));
        if pins {
            tracing::warn!(
                "ca_pins and ca_path are for joining at an auth server, and are not used with a proxy"
            );
        }
        let use_ours =
            options.environment.get("TBOT_USE_PROXY_ADDR") == Some("yes") && setting == Setting::ProxyServer;
        let proxy_address = use_ours.then(|| route.address().to_string());
        let (ttl, interval) = (config.credential_ttl().to_std(), config.renewal_interval().to_std());
        let token =
            onboarding.and_then(|onboarding| onboarding.token.as_ref()).filter(|token| !token.is_empty());
        Ok(Self {
            token: token.map(|token| TokenSetting::new(token.as_str())),
            storage: place("/storage", &config.storage())?,
            outputs: outputs(config, ttl, interval)?,
            options,
            route,
            web,
            setting,
            ttl,
            interval,
            proxy_address,
        })
    }

    /// Opens and locks the storage.
    pub(super) async fn open(&self) -> Result<Inner, AgentError> {
        let storage = match self.storage.clone() {
            Place::Directory { path, symlinks } => {
                blocking(move || Storage::directory(&path, symlinks)).await?
            }
            Place::Memory => {
                tracing::warn!("the bot's identity is kept in memory: every start needs a new token");
                Storage::memory()
            }
        };
        let onboarding = Onboarding {
            web: self.web.clone(),
            setting: self.setting,
            token: self.token.clone(),
            ttl: self.ttl,
        };
        Ok(Inner {
            bot: Arc::new(Bot::new(storage, self.route.clone(), onboarding, self.options.clock.clone())),
            outputs: self.outputs.clone(),
            interval: self.interval,
            randomness: self.options.randomness.clone(),
            command: self.options.command.clone(),
            proxy_address: self.proxy_address.clone(),
        })
    }

    pub(super) fn destination(&self, output: usize) -> Option<&Destination> {
        self.outputs.get(output).map(|output| output.destination.as_ref())
    }
}

impl Setting {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ProxyServer => "proxy_server",
            Self::AuthServer => "auth_server",
        }
    }
}

/// Where both are set, the proxy's is used.
fn address(config: &Config) -> Result<(Setting, &str), AgentError> {
    let set =
        |address: &'_ Option<config::Location>| address.as_ref().is_some_and(|address| !address.is_empty());
    match (&config.proxy_server, &config.auth_server) {
        (Some(proxy), _) if set(&config.proxy_server) => Ok((Setting::ProxyServer, proxy.as_str())),
        (_, Some(auth)) if set(&config.auth_server) => Ok((Setting::AuthServer, auth.as_str())),
        _ => Err(AgentError::NoAddress),
    }
}

fn place(pointer: &str, destination: &config::Destination) -> Result<Place, Unsupported> {
    match destination {
        config::Destination::Directory(directory) => Ok(Place::Directory {
            path: PathBuf::from(directory.path.as_str()),
            symlinks: directory.symlinks.unwrap_or(SymlinkMode::TrySecure),
        }),
        config::Destination::Memory(_) => Ok(Place::Memory),
        other @ config::Destination::KubernetesSecret(_) => Err(Unsupported::destination(pointer, other)),
    }
}

/// Every service in the order in which they are numbered. A service without a name has its type and its number among
/// those of its type.
fn outputs(config: &Config, ttl: Duration, interval: Duration) -> Result<Vec<Output>, Unsupported> {
    let mut outputs = Vec::new();
    for (index, service) in config.services().enumerate() {
        let pointer = format!("/services/{index}");
        let Service::Identity(identity) = service else {
            return Err(Unsupported::service(&pointer, service));
        };
        let lifetime = identity.lifetime();
        let or = |own: Option<config::GoDuration>, general| {
            own.filter(|own| !own.is_zero()).map_or(general, |own| own.to_std())
        };
        outputs.push(Output {
            name: name(identity, index + 1),
            destination: Arc::new(Destination::new(place(&pointer, &identity.destination)?)),
            roles: identity.roles().iter().map(|role| role.as_str().to_owned()).collect(),
            ttl: or(lifetime.credential_ttl, ttl),
            interval: or(lifetime.renewal_interval, interval),
            with_ssh_config: identity.ssh_config != Some(SshConfigMode::Off),
        });
    }
    Ok(outputs)
}

fn name(identity: &Identity, number: usize) -> String {
    let given = identity.name.as_ref().filter(|name| !name.is_empty());
    given.map_or_else(|| format!("identity-{number}"), |name| name.as_str().to_owned())
}
