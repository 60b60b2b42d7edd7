//! Turns the services of the configuration into outputs and listening services.

use std::sync::Arc;
use std::time::Duration;

use super::error::AgentError;
use crate::agent::bot::renewal::preflight::OutputDestinationError;
use crate::agent::destination::writer::{DestinationWriter, WriteTarget};
use crate::agent::platform::reminders::RecurringWarnings;
use crate::agent::platform::{Clock, Environment};
use crate::agent::service::application::ApplicationOutput;
use crate::agent::service::application_proxy::ApplicationProxy;
use crate::agent::service::context::ServiceSettings;
use crate::agent::service::database::DatabaseOutput;
use crate::agent::service::identity::IdentityOutput;
use crate::agent::service::kubernetes::KubernetesOutput;
use crate::agent::service::kubernetes_v2::{ClusterSelector, KubernetesV2Output};
use crate::agent::service::listening::ListenerSettings;
use crate::agent::service::output::{Output, OutputKind};
use crate::agent::service::ssh_host::SshHostOutput;
use crate::agent::service::tunnel::{Tunnel, TunnelKind};
use crate::agent::service::workload_jwt::WorkloadJwtOutput;
use crate::agent::service::workload_x509::WorkloadX509Output;
use crate::agent::teleport::auth_client::WorkloadSelector;
use crate::config::{
    self, Config, ContextName, DatabaseFormat, Destination, Identifier, KubernetesSelector, Location,
    NamedService, SshCaType, SupportedService, TrustDomain, WorkloadIdentitySelector, is_on,
};

/// All services, each kind in the order of the configuration.
#[derive(Default)]
pub(super) struct Services {
    pub(super) outputs: Vec<Output>,
    pub(super) listening: Vec<ListeningService>,
}

/// A service that listens for clients.
#[derive(Clone)]
pub(super) enum ListeningService {
    Tunnel(Arc<Tunnel>),
    ApplicationProxy(Arc<ApplicationProxy>),
}

impl ListeningService {
    pub(super) fn listener(&self) -> &ListenerSettings {
        match self {
            Self::Tunnel(tunnel) => &tunnel.listener,
            Self::ApplicationProxy(proxy) => &proxy.listener,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.listener().service.name
    }
}

/// Returns the settings of all services: first the outputs, then those that listen. The health of the services has the same
/// order.
pub(super) fn service_settings<'a>(
    outputs: &'a [Output],
    listening: &'a [ListeningService],
) -> impl Iterator<Item = &'a ServiceSettings> {
    let outputs = outputs.iter().map(|output| &output.settings);
    outputs.chain(listening.iter().map(|service| &service.listener().service))
}

/// Returns all services.
///
/// # Errors
///
/// Returns the error of every service that cannot be set up.
pub(super) fn services(
    config: &Config,
    environment: &Environment,
    clock: &Clock,
    warnings: &RecurringWarnings,
    ttl: Duration,
    interval: Duration,
) -> Result<Services, Vec<AgentError>> {
    let (mut services, mut errors) = (Services::default(), Vec::new());
    for (index, NamedService { service, name, .. }) in config.named_services().enumerate() {
        // `Unsupported::check` refuses everything else.
        let Some(kind) = service.supported().and_then(service_kind) else { continue };
        let fields = service.fields();
        let lifetime = fields.lifetime();
        let or_default = |own: Option<config::GoDuration>, default| {
            own.filter(|own| !own.is_zero()).map_or(default, |own| own.to_std())
        };
        let settings = ServiceSettings {
            name,
            service_type: service.service_type().name,
            index,
            roles: strings(fields.roles()),
            ttl: or_default(lifetime.credential_ttl, ttl),
            interval: or_default(lifetime.renewal_interval, interval),
        };
        match kind {
            ServiceKind::Output(kind, destination) => {
                match WriteTarget::new(destination, environment, clock) {
                    Ok(target) => {
                        let writer = DestinationWriter::new(&settings.name, target, warnings.clone());
                        services.outputs.push(Output::new(settings, kind, writer));
                    }
                    Err(error) => {
                        errors.push(OutputDestinationError { output: settings.name, error }.into());
                    }
                }
            }
            ServiceKind::Listening(kind, listen) => match listen.as_str().parse() {
                Ok(listen) => {
                    let listener = ListenerSettings { service: settings, listen, leeway: config.leeway() };
                    services.listening.push(kind.with(listener));
                }
                Err(error) => errors.push(AgentError::Listen { service: settings.name, error }),
            },
        }
    }
    if errors.is_empty() { Ok(services) } else { Err(errors) }
}

/// What a service delivers, and where.
enum ServiceKind<'a> {
    Output(OutputKind, &'a Destination),
    Listening(ListeningKind, &'a Location),
}

/// The resources to which a service connects its clients.
enum ListeningKind {
    Tunnel(TunnelKind),
    ApplicationProxy,
}

impl ListeningKind {
    fn with(self, listener: ListenerSettings) -> ListeningService {
        match self {
            Self::Tunnel(kind) => ListeningService::Tunnel(Arc::new(Tunnel { listener, kind })),
            Self::ApplicationProxy => {
                ListeningService::ApplicationProxy(Arc::new(ApplicationProxy { listener }))
            }
        }
    }
}

/// Returns what a service delivers. `None` if the service uses something that `Unsupported::check` refuses.
fn service_kind(service: SupportedService<'_>) -> Option<ServiceKind<'_>> {
    let (kind, destination) = match service {
        SupportedService::ApplicationTunnel(tunnel) => {
            let kind = TunnelKind::Application { name: tunnel.app_name.as_str().to_owned() };
            return Some(ServiceKind::Listening(ListeningKind::Tunnel(kind), &tunnel.listen));
        }
        SupportedService::ApplicationProxy(proxy) => {
            return Some(ServiceKind::Listening(ListeningKind::ApplicationProxy, &proxy.listen));
        }
        SupportedService::DatabaseTunnel(tunnel) => {
            let kind = TunnelKind::Database {
                service: tunnel.service.as_str().to_owned(),
                database: tunnel.database.as_str().to_owned(),
                username: tunnel.username.as_str().to_owned(),
            };
            return Some(ServiceKind::Listening(ListeningKind::Tunnel(kind), &tunnel.listen));
        }
        SupportedService::Identity(identity) => {
            let kind = OutputKind::Identity(IdentityOutput {
                leaf: non_empty(identity.cluster.as_ref()),
                allow_reissue: is_on(identity.allow_reissue),
                ssh_config: identity.ssh_config,
            });
            (kind, &identity.destination)
        }
        SupportedService::Application(application) => {
            let kind = OutputKind::Application(ApplicationOutput {
                name: application.app_name.as_str().to_owned(),
                specific_tls_naming: is_on(application.specific_tls_naming),
            });
            (kind, &application.destination)
        }
        SupportedService::Database(database) => {
            let kind = OutputKind::Database(DatabaseOutput {
                service: database.service.as_str().to_owned(),
                database: non_empty(database.database.as_ref()).unwrap_or_default(),
                username: non_empty(database.username.as_ref()).unwrap_or_default(),
                format: database.format.unwrap_or(DatabaseFormat::Plain),
            });
            (kind, &database.destination)
        }
        SupportedService::Kubernetes(kubernetes) => {
            let kind = OutputKind::Kubernetes(KubernetesOutput {
                cluster: kubernetes.kubernetes_cluster.as_str().to_owned(),
                disable_exec_plugin: is_on(kubernetes.disable_exec_plugin),
            });
            (kind, &kubernetes.destination)
        }
        SupportedService::KubernetesV2(kubernetes) => {
            let kind = OutputKind::KubernetesV2(KubernetesV2Output {
                selectors: kubernetes.selectors.iter().map(selector).collect(),
                disable_exec_plugin: is_on(kubernetes.disable_exec_plugin),
                context_name: ContextName::of_service(kubernetes)?,
            });
            (kind, &kubernetes.destination)
        }
        SupportedService::SshHost(host) => {
            let kind = OutputKind::SshHost(SshHostOutput {
                principals: strings(&host.principals),
                ca_type: host.ca_type.unwrap_or(SshCaType::User),
            });
            (kind, &host.destination)
        }
        SupportedService::WorkloadIdentityX509(x509) => {
            let domains = x509.trust_domains.as_deref().unwrap_or_default();
            let kind = OutputKind::WorkloadX509(WorkloadX509Output {
                selector: workload_selector(&x509.selector),
                trust_app_clients: domains.contains(&TrustDomain::AppClient),
                trust_federated: is_on(x509.include_federated_trust_bundles),
            });
            (kind, &x509.destination)
        }
        SupportedService::WorkloadIdentityJwt(jwt) => {
            let audiences = jwt.audiences.iter().filter_map(|audience| non_empty(Some(audience)));
            let kind = OutputKind::WorkloadJwt(WorkloadJwtOutput {
                selector: workload_selector(&jwt.selector),
                audiences: audiences.collect(),
            });
            (kind, &jwt.destination)
        }
    };
    Some(ServiceKind::Output(kind, destination))
}

fn selector(selector: &KubernetesSelector) -> ClusterSelector {
    let labels = selector.labels.iter().flatten();
    ClusterSelector {
        name: non_empty(selector.name.as_ref()),
        labels: labels.map(|(key, value)| (key.clone(), value.as_str().to_owned())).collect(),
        namespace: non_empty(selector.default_namespace.as_ref()),
    }
}

fn workload_selector(selector: &WorkloadIdentitySelector) -> WorkloadSelector {
    let labels = selector.labels.iter().flatten();
    non_empty(selector.name.as_ref()).map_or_else(
        || WorkloadSelector::Labels(labels.map(|(key, values)| (key.clone(), strings(&values.0))).collect()),
        WorkloadSelector::Name,
    )
}

/// Returns a string that is set and not empty.
fn non_empty(identifier: Option<&Identifier>) -> Option<String> {
    identifier.map(|identifier| identifier.as_str().to_owned()).filter(|value| !value.is_empty())
}

fn strings(identifiers: &[Identifier]) -> Vec<String> {
    identifiers.iter().map(|identifier| identifier.as_str().to_owned()).collect()
}
