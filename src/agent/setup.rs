//! From the configuration to what runs: refuses, fills in defaults, opens the storage. The only reader of [`Config`]
//! beside `unsupported`.

use std::sync::Arc;
use std::time::Duration;

use super::Inner;
use super::address::Address;
use super::destination::{Destination, DestinationError, Directory, Place};
use super::discovery::Setting;
use super::error::AgentError;
use super::join::Prover;
use super::kube::Secret;
use super::options::AgentOptions;
use super::output::{
    Application, ContextName, Database, Format, IdentityOutput, Kind, Kubernetes, KubernetesV2, Output,
    Selector, SshAuthority, SshHost, WorkloadJwt, WorkloadSelector, WorkloadX509,
};
use super::renewal::{Bot, Onboarding};
use super::route::Route;
use super::storage::{Storage, StorageError};
use super::task::blocking;
use super::token::TokenSetting;
use super::unsupported::Unsupported;
use super::web::Web;
use crate::config::{
    self, Config, DatabaseFormat, Identifier, JoinMethod, KubernetesSelector, Service, SshCaType,
    SshConfigMode, TrustDomain, WorkloadIdentitySelector, is_on,
};

/// A configuration that can be run.
pub(super) struct Plan {
    options: AgentOptions,
    route: Route,
    web: Web,
    setting: Setting,
    method: JoinMethod,
    token: Option<TokenSetting>,
    prover: Option<Arc<Prover>>,
    storage: Place,
    outputs: Vec<Output>,
    ttl: Duration,
    interval: Duration,
    proxy_address: Option<String>,
    diag_addr: Option<String>,
}

impl Plan {
    pub(super) fn new(config: &Config, options: AgentOptions) -> Result<Self, AgentError> {
        Unsupported::check(config)?;
        let onboarding = config.onboarding.as_ref().ok_or(AgentError::NoJoinMethod)?;
        let method = onboarding.join_method.ok_or(AgentError::NoJoinMethod)?;
        let token = onboarding.token.as_ref().filter(|token| !token.is_empty());
        if token.is_none() && method != JoinMethod::Token {
            // A stored identity spares nobody the name: it is renewed by joining again.
            return Err(AgentError::NoTokenName { method });
        }
        let (setting, written) = address(config)?;
        let address: Address =
            written.parse().map_err(|error| AgentError::Address { setting: setting.name(), error })?;
        let insecure = is_on(config.insecure);
        let route = Route::new(address, &options.environment, insecure, options.clock.clone())?;
        let web = Web::new(&route, &options.environment)?;
        let pins = onboarding.ca_path.is_some() || onboarding.ca_pins.as_ref().is_some_and(|p| !p.is_empty());
        if pins {
            tracing::warn!(
                "ca_pins and ca_path are for joining at an auth server, and are not used with a proxy"
            );
        }
        let use_ours =
            options.environment.get("TBOT_USE_PROXY_ADDR") == Some("yes") && setting == Setting::ProxyServer;
        let proxy_address = use_ours.then(|| route.address().to_string());
        let (ttl, interval) = (config.credential_ttl().to_std(), config.renewal_interval().to_std());
        let prover = Prover::new(method, onboarding, &options.environment, &options.clock);
        Ok(Self {
            method,
            prover: prover.map(Arc::new),
            token: token.map(|token| TokenSetting::new(token.as_str())),
            storage: place(&config.storage(), &options).map_err(StorageError::from)?,
            outputs: outputs(config, &options, ttl, interval)?,
            options,
            route,
            web,
            setting,
            ttl,
            interval,
            proxy_address,
            diag_addr: config.diag_addr.as_ref().filter(|a| !a.is_empty()).map(|a| a.as_str().to_owned()),
        })
    }

    /// Tests the destinations, and opens and locks the storage.
    pub(super) async fn open(&self) -> Result<Inner, AgentError> {
        for output in &self.outputs {
            let destination = Arc::clone(&output.destination);
            let failed = |error| AgentError::Destination { output: output.name.clone(), error };
            blocking(move || destination.test()).await.map_err(failed)?;
        }
        let storage = match self.storage.clone() {
            Place::Directory(directory) => blocking(move || Storage::directory(directory)).await?,
            Place::Secret(secret) => Storage::secret(*secret),
            Place::Memory => {
                if self.method == JoinMethod::Token {
                    tracing::warn!("the bot's identity is kept in memory: every start needs a new token");
                }
                Storage::memory()
            }
        };
        let onboarding = Onboarding {
            web: self.web.clone(),
            setting: self.setting,
            token: self.token.clone(),
            prover: self.prover.clone(),
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

    /// Where to serve health, for who runs on.
    pub(super) fn diag_addr(&self) -> Option<&str> {
        self.diag_addr.as_deref()
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

fn place(destination: &config::Destination, options: &AgentOptions) -> Result<Place, DestinationError> {
    Ok(match destination {
        config::Destination::Directory(directory) => Place::Directory(Directory::new(directory)),
        config::Destination::Memory(_) => Place::Memory,
        config::Destination::KubernetesSecret(secret) => {
            Place::Secret(Box::new(Secret::new(secret, &options.environment, &options.clock)?))
        }
    })
}

/// Every service in the order in which they are numbered. A service without a name has its type and its number.
fn outputs(
    config: &Config,
    options: &AgentOptions,
    ttl: Duration,
    interval: Duration,
) -> Result<Vec<Output>, AgentError> {
    let mut outputs = Vec::new();
    for (index, service) in config.services().enumerate() {
        let pointer = format!("/services/{index}");
        let unsupported = || Unsupported::service(&pointer, service);
        let fields = service.fields();
        let lifetime = fields.lifetime();
        let or = |own: Option<config::GoDuration>, general| {
            own.filter(|own| !own.is_zero()).map_or(general, |own| own.to_std())
        };
        let name = name(service, index + 1);
        let place = place(fields.destination().ok_or_else(unsupported)?, options)
            .map_err(|error| AgentError::Destination { output: name.clone(), error })?;
        outputs.push(Output {
            name,
            kind: kind(service).ok_or_else(unsupported)?,
            destination: Arc::new(Destination::new(place)),
            roles: texts(fields.roles()),
            ttl: or(lifetime.credential_ttl, ttl),
            interval: or(lifetime.renewal_interval, interval),
        });
    }
    Ok(outputs)
}

fn kind(service: &Service) -> Option<Kind> {
    Some(match service {
        Service::Identity(identity) => Kind::Identity(IdentityOutput {
            leaf: text(identity.cluster.as_ref()),
            allow_reissue: is_on(identity.allow_reissue),
            with_ssh_config: identity.ssh_config != Some(SshConfigMode::Off),
        }),
        Service::Application(application) => Kind::Application(Application {
            name: application.app_name.as_str().to_owned(),
            specific_tls_naming: is_on(application.specific_tls_naming),
        }),
        Service::Database(database) => Kind::Database(Database {
            service: database.service.as_str().to_owned(),
            database: text(database.database.as_ref()).unwrap_or_default(),
            username: text(database.username.as_ref()).unwrap_or_default(),
            format: match database.format.unwrap_or(DatabaseFormat::Plain) {
                DatabaseFormat::Plain => Format::Plain,
                DatabaseFormat::Tls => Format::Tls,
                DatabaseFormat::Mongo => Format::Mongo,
                DatabaseFormat::Cockroach => Format::Cockroach,
            },
        }),
        Service::Kubernetes(kubernetes) => Kind::Kubernetes(Kubernetes {
            cluster: kubernetes.kubernetes_cluster.as_str().to_owned(),
            disable_exec_plugin: is_on(kubernetes.disable_exec_plugin),
        }),
        Service::KubernetesV2(kubernetes) => Kind::KubernetesV2(KubernetesV2 {
            selectors: kubernetes.selectors.iter().map(selector).collect(),
            disable_exec_plugin: is_on(kubernetes.disable_exec_plugin),
            context_name: ContextName::of_service(kubernetes)?,
        }),
        Service::SshHost(host) => Kind::SshHost(SshHost {
            principals: texts(&host.principals),
            authority: match host.ca_type.unwrap_or(SshCaType::User) {
                SshCaType::User => SshAuthority::User,
                SshCaType::Openssh => SshAuthority::Openssh,
            },
        }),
        Service::WorkloadIdentityX509(x509) => {
            let domains = x509.trust_domains.as_deref().unwrap_or_default();
            Kind::WorkloadX509(WorkloadX509 {
                selector: workloads(&x509.selector),
                trust_app_clients: domains.contains(&TrustDomain::AppClient),
                trust_federated: is_on(x509.include_federated_trust_bundles),
            })
        }
        Service::WorkloadIdentityJwt(jwt) => Kind::WorkloadJwt(WorkloadJwt {
            selector: workloads(&jwt.selector),
            audiences: jwt.audiences.iter().filter_map(|audience| text(Some(audience))).collect(),
        }),
        _ => return None,
    })
}

fn selector(selector: &KubernetesSelector) -> Selector {
    let labels = selector.labels.iter().flatten();
    Selector {
        name: text(selector.name.as_ref()),
        labels: labels.map(|(key, value)| (key.clone(), value.as_str().to_owned())).collect(),
        namespace: text(selector.default_namespace.as_ref()),
    }
}

fn workloads(selector: &WorkloadIdentitySelector) -> WorkloadSelector {
    let labels = selector.labels.iter().flatten();
    text(selector.name.as_ref()).map_or_else(
        || WorkloadSelector::Labels(labels.map(|(key, values)| (key.clone(), texts(&values.0))).collect()),
        WorkloadSelector::Name,
    )
}

/// A text that is set and not empty.
fn text(identifier: Option<&Identifier>) -> Option<String> {
    identifier.map(|text| text.as_str().to_owned()).filter(|text| !text.is_empty())
}

fn texts(identifiers: &[Identifier]) -> Vec<String> {
    identifiers.iter().map(|text| text.as_str().to_owned()).collect()
}

fn name(service: &Service, number: usize) -> String {
    text(service.fields().name()).unwrap_or_else(|| format!("{}-{number}", service.type_name()))
}
