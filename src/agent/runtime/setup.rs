//! Prepares an agent from its configuration: refuses what this version cannot run, applies defaults, and opens the
//! storage.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::error::AgentError;
use super::health::Health;
use super::overlaps;
use super::running_agent::RunningAgent;
use super::services::{ListeningService, Services, service_settings, services};
use super::unsupported::Unsupported;
use crate::agent::bot::auth_server_trust::TrustSource;
use crate::agent::bot::bound_keypair::BoundKeypairSources;
use crate::agent::bot::join::Attestor;
use crate::agent::bot::join_token::JoinTokenSource;
use crate::agent::bot::renewal::preflight::{NamedDestination, test_destinations};
use crate::agent::bot::renewal::{Bot, JoinSettings};
use crate::agent::bot::storage::{Storage, StorageError};
use crate::agent::destination::target::WriteTarget;
use crate::agent::destination::writer::DestinationWriter;
use crate::agent::net::dialler::Dialler;
use crate::agent::net::route::Route;
use crate::agent::net::upgrade_variable::needs_upgrade;
use crate::agent::platform::reminders::RecurringWarnings;
use crate::agent::platform::tasks::{UninterruptibleWork, run_blocking};
use crate::agent::platform::{Clock, Environment, Randomness};
use crate::agent::service::context::ProxyAddresses;
use crate::agent::service::output::Output;
use crate::agent::teleport::discovery::AddressField;
use crate::config::{
    self, Address, Config, GoDuration, JoinMethod, ListenAddress, Onboarding, OptionalString as _, is_on,
};

/// The arguments of [`Agent::new`](super::agent::Agent::new) besides the configuration.
#[derive(Clone, Debug)]
pub struct AgentOptions {
    /// The environment variables that the agent reads.
    pub environment: Environment,
    /// The wall clock.
    pub clock: Clock,
    /// The random numbers for jitter.
    pub randomness: Randomness,
    /// The absolute path of the `tbot` command, for the `ProxyCommand` in `ssh_config` and the credential plugin in
    /// kubeconfigs.
    pub command: PathBuf,
}

/// A configuration that this version can run.
pub(super) struct Plan {
    options: AgentOptions,
    server: ServerPlan,
    trust: TrustSource,
    method: JoinMethod,
    token: Option<JoinTokenSource>,
    attestor: Option<Arc<Attestor>>,
    bound_keypair: Option<BoundKeypairSources>,
    storage: WriteTarget,
    services: Services,
    /// The warnings that were logged already, of the bot and of all outputs.
    warnings: RecurringWarnings,
    ttl: Duration,
    interval: Duration,
    proxy_address: Option<Address>,
    diag_addr: Option<ListenAddress>,
}

/// The server to connect to.
pub(super) struct ServerPlan {
    pub(super) address_field: AddressField,
    pub(super) dialler: Dialler,
}

impl ServerPlan {
    pub(super) fn new(config: &Config, options: &AgentOptions) -> Result<Self, AgentError> {
        let (address_field, address) = address(config)?;
        let address: Address =
            address.parse().map_err(|error| AgentError::Address { field: address_field.name(), error })?;
        let route = Route::new(address, &options.environment, is_on(config.insecure), options.clock.clone())?;
        let needs_upgrade = needs_upgrade(&options.environment, route.address())?;
        let dialler = match address_field {
            AddressField::ProxyServer => Dialler::new(&route, &options.environment, needs_upgrade)?,
            AddressField::AuthServer => Dialler::for_either_kind(&route, &options.environment, needs_upgrade),
        };
        Ok(Self { address_field, dialler })
    }
}

impl Plan {
    /// Plans a run. If several things prevent it, returns all of them.
    pub(super) fn new(config: &Config, options: AgentOptions) -> Result<Self, AgentError> {
        let (ttl, interval) = (config.credential_ttl().to_std(), config.renewal_interval().to_std());
        let warnings = RecurringWarnings::new(options.clock.clone());
        let mut errors = Vec::new();
        let supported = ok_or_push(Unsupported::check(config), &mut errors);
        let server = ok_or_push(ServerPlan::new(config, &options), &mut errors);
        let onboarding = ok_or_push(onboarding(config), &mut errors);
        let diag_addr = ok_or_push(diag_addr(config), &mut errors);
        let storage = WriteTarget::new(&config.storage(), &options.environment, &options.clock);
        let storage = ok_or_push(storage.map_err(StorageError::from), &mut errors);
        let services = services(config, &options.environment, &options.clock, &warnings, ttl, interval);
        let services = services.map_err(|failed| errors.extend(failed)).ok();
        let overlaps = overlaps::check(config, &options.environment);
        let separate =
            overlaps.map_err(|found| errors.extend(found.into_iter().map(AgentError::Overlap))).ok();
        let (
            Some(()),
            Some(()),
            Some(server),
            Some((onboarding, method)),
            Some(diag_addr),
            Some(storage),
            Some(services),
        ) = (supported, separate, server, onboarding, diag_addr, storage, services)
        else {
            return Err(AgentError::all(errors));
        };
        let token = onboarding.token.as_ref().filter(|token| !token.is_empty());
        let trust = TrustSource::new(onboarding, is_on(config.insecure));
        let use_configured = options.environment.get("TBOT_USE_PROXY_ADDR") == Some("yes")
            && server.address_field == AddressField::ProxyServer;
        let proxy_address = use_configured.then(|| server.dialler.address().clone());
        let attestor = Attestor::new(method, onboarding, &options.environment, &options.clock);
        let bound_keypair = (method == JoinMethod::BoundKeypair)
            .then(|| BoundKeypairSources::new(onboarding, &options.environment));
        Ok(Self {
            method,
            bound_keypair,
            attestor: attestor.map(Arc::new),
            token: token.map(|token| JoinTokenSource::new(token.as_str(), method)),
            storage,
            services,
            warnings,
            options,
            server,
            trust,
            ttl,
            interval,
            proxy_address,
            diag_addr,
        })
    }

    /// Opens and locks the storage.
    ///
    /// # Errors
    ///
    /// Returns an error if the storage cannot be used, or with earlier `failures` of the start, which it takes. As the agent then ends
    /// anyway, the error also lists every destination that cannot be written.
    pub(super) async fn open(&self, failures: &mut Vec<AgentError>) -> Result<RunningAgent, AgentError> {
        let storage = match self.open_storage().await {
            Ok(storage) if failures.is_empty() => storage,
            opened => {
                failures.extend(opened.err().map(AgentError::from));
                failures.extend(
                    test_destinations(&self.destinations(), &UninterruptibleWork::default())
                        .await
                        .into_iter()
                        .map(AgentError::from),
                );
                return Err(AgentError::all(std::mem::take(failures)));
            }
        };
        if let Some(http_proxy) = self.server.dialler.route().http_proxy() {
            tracing::info!(%http_proxy, "connections to the cluster go through an HTTP proxy");
        }
        let join_settings = JoinSettings {
            method: self.method,
            address_field: self.server.address_field,
            trust: self.trust.clone(),
            token: self.token.clone(),
            attestor: self.attestor.clone(),
            bound_keypair: self.bound_keypair.clone(),
            ttl: self.ttl,
            destinations: self.destinations(),
        };
        let clock = self.options.clock.clone();
        Ok(RunningAgent {
            bot: Arc::new(Bot::new(
                storage,
                self.server.dialler.clone(),
                join_settings,
                clock,
                self.warnings.clone(),
            )),
            outputs: self.services.outputs.clone(),
            listening: self.services.listening.clone(),
            join_method: self.method,
            interval: self.interval,
            randomness: self.options.randomness.clone(),
            command: self.options.command.clone(),
            proxy_address: self.proxy_address.clone(),
            proxy_addresses: ProxyAddresses::default(),
        })
    }

    async fn open_storage(&self) -> Result<Storage, StorageError> {
        if matches!(self.storage, WriteTarget::Memory) {
            self.warn_about_memory();
        }
        open_storage(self.storage.clone(), self.warnings.clone()).await
    }

    fn warn_about_memory(&self) {
        if self.method == JoinMethod::Token {
            tracing::warn!("the bot's identity is stored in memory: every start needs a new join token");
        }
        if self.bound_keypair.as_ref().is_some_and(|sources| !sources.has_static_key()) {
            tracing::warn!(
                "the bot's key pair is stored in memory: after a restart, this bot cannot join again without a new \
                         registration secret"
            );
        }
    }

    fn destinations(&self) -> Vec<NamedDestination> {
        let named = |output: &Output| NamedDestination {
            output: output.settings.name.clone(),
            destination: Arc::clone(output.destination()),
            files: output.kind.required_files(),
        };
        self.services.outputs.iter().map(named).collect()
    }

    /// Returns the health of an agent that has not started.
    pub(super) fn health(&self, config: &Config) -> Arc<Health> {
        let settings = service_settings(&self.services.outputs, &self.services.listening);
        let names = settings.map(|settings| settings.name.as_str());
        let oidc = config.onboarding.as_ref().and_then(|onboarding| onboarding.generic_oidc.as_ref());
        let timeout = oidc.and_then(|oidc| oidc.timeout).map_or(Duration::ZERO, GoDuration::to_std);
        Health::new(names, timeout, self.options.clock.clone())
    }

    /// Returns the address of the health server, for continuous mode.
    pub(super) fn diag_addr(&self) -> Option<&ListenAddress> {
        self.diag_addr.as_ref()
    }

    /// Returns the destination of the service with this index in the configuration.
    pub(super) fn destination(&self, service: usize) -> Option<&DestinationWriter> {
        let output = self.services.outputs.iter().find(|output| output.settings.index == service);
        output.map(|output| output.destination().as_ref())
    }

    pub(super) fn listening(&self) -> &[ListeningService] {
        &self.services.listening
    }
}

/// Opens and locks a storage.
pub(super) async fn open_storage(
    target: WriteTarget,
    warnings: RecurringWarnings,
) -> Result<Storage, StorageError> {
    match target {
        WriteTarget::Directory(directory) => {
            run_blocking(move || Storage::open_directory(directory, warnings)).await
        }
        WriteTarget::Secret(secret) => Ok(Storage::secret(*secret)),
        WriteTarget::Memory => Ok(Storage::memory()),
    }
}

/// Returns the value, or adds the error to `errors` and returns `None`.
fn ok_or_push<T, E: Into<AgentError>>(result: Result<T, E>, errors: &mut Vec<AgentError>) -> Option<T> {
    result.map_err(|error| errors.push(error.into())).ok()
}

/// Returns the address of the health server, if it is configured.
fn diag_addr(config: &Config) -> Result<Option<ListenAddress>, AgentError> {
    let address = config.diag_addr.as_ref().filter(|address| !address.is_empty());
    let address = address.map(|address| address.as_str().parse()).transpose();
    address.map_err(AgentError::DiagAddr)
}

/// Returns how the bot joins.
fn onboarding(config: &Config) -> Result<(&Onboarding, JoinMethod), AgentError> {
    let onboarding = config.onboarding.as_ref().ok_or(AgentError::NoJoinMethod)?;
    let method = onboarding.join_method.ok_or(AgentError::NoJoinMethod)?;
    // The name is needed even with a stored identity, which all other join methods renew by joining again.
    let has_token = onboarding.token.nonempty().is_some();
    if has_token || method == JoinMethod::Token || method.supported().is_none() {
        Ok((onboarding, method))
    } else {
        Err(AgentError::NoTokenName { method })
    }
}

/// Returns the key and the value of the address to use: the proxy's, if both are set.
fn address(config: &Config) -> Result<(AddressField, &str), AgentError> {
    let is_set = |address: &Option<config::Location>| address.nonempty().is_some();
    match (&config.proxy_server, &config.auth_server) {
        (Some(proxy), _) if is_set(&config.proxy_server) => Ok((AddressField::ProxyServer, proxy.as_str())),
        (_, Some(auth)) if is_set(&config.auth_server) => Ok((AddressField::AuthServer, auth.as_str())),
        _ => Err(AgentError::NoAddress),
    }
}
