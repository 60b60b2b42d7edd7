//! Turns the services of the configuration into outputs and listening services.

use std::sync::Arc;
use std::time::Duration;

use super::error::AgentError;
use crate::agent::bot::renewal::preflight::OutputDestinationError;
use crate::agent::destination::target::WriteTarget;
use crate::agent::destination::writer::DestinationWriter;
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
    self, ApplicationProxyService, ApplicationService, ApplicationTunnelService, Config, ContextName,
    DatabaseFormat, DatabaseService, DatabaseTunnelService, Destination, Identifier, IdentityService,
    KubernetesSelector, KubernetesService, KubernetesV2Service, Location, NamedService, OptionalString as _,
    SshCaType, SshHostService, SupportedService, TrustDomain, WorkloadIdentityJwtService,
    WorkloadIdentitySelector, WorkloadIdentityX509Service, is_on,
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
///
/// Names every field of a service, so that the compiler asks for the effect of a new one. `ServiceFields` returns those that are
/// ignored here, or `Unsupported::check` refuses a service that sets them.
fn service_kind(service: SupportedService<'_>) -> Option<ServiceKind<'_>> {
    let (kind, destination) = match service {
        SupportedService::ApplicationTunnel(ApplicationTunnelService {
            listen,
            app_name,
            delegation_session_id: _,
            name: _,
            credential_ttl: _,
            certificate_ttl: _,
            renewal_interval: _,
            roles: _,
        }) => {
            let kind = TunnelKind::Application { name: app_name.as_str().to_owned() };
            return Some(ServiceKind::Listening(ListeningKind::Tunnel(kind), listen));
        }
        SupportedService::ApplicationProxy(ApplicationProxyService {
            listen,
            delegation_session_id: _,
            credential_lifetime: _,
            name: _,
        }) => {
            return Some(ServiceKind::Listening(ListeningKind::ApplicationProxy, listen));
        }
        SupportedService::DatabaseTunnel(DatabaseTunnelService {
            listen,
            service,
            database,
            username,
            name: _,
            credential_ttl: _,
            certificate_ttl: _,
            renewal_interval: _,
            roles: _,
        }) => {
            let kind = TunnelKind::Database {
                service: service.as_str().to_owned(),
                database: database.as_str().to_owned(),
                username: username.as_str().to_owned(),
            };
            return Some(ServiceKind::Listening(ListeningKind::Tunnel(kind), listen));
        }
        SupportedService::Identity(IdentityService {
            destination,
            cluster,
            ssh_config,
            allow_reissue,
            delegation_session_id: _,
            name: _,
            credential_ttl: _,
            certificate_ttl: _,
            renewal_interval: _,
            roles: _,
        }) => {
            let kind = OutputKind::Identity(IdentityOutput {
                leaf: non_empty(cluster.as_ref()),
                allow_reissue: is_on(*allow_reissue),
                ssh_config: *ssh_config,
            });
            (kind, destination)
        }
        SupportedService::Application(ApplicationService {
            destination,
            app_name,
            specific_tls_naming,
            delegation_session_id: _,
            name: _,
            credential_ttl: _,
            certificate_ttl: _,
            renewal_interval: _,
            roles: _,
        }) => {
            let kind = OutputKind::Application(ApplicationOutput {
                name: app_name.as_str().to_owned(),
                specific_tls_naming: is_on(*specific_tls_naming),
            });
            (kind, destination)
        }
        SupportedService::Database(DatabaseService {
            destination,
            service,
            database,
            username,
            format,
            name: _,
            credential_ttl: _,
            certificate_ttl: _,
            renewal_interval: _,
            roles: _,
        }) => {
            let kind = OutputKind::Database(DatabaseOutput {
                service: service.as_str().to_owned(),
                database: non_empty(database.as_ref()).unwrap_or_default(),
                username: non_empty(username.as_ref()).unwrap_or_default(),
                format: format.unwrap_or(DatabaseFormat::Plain),
            });
            (kind, destination)
        }
        SupportedService::Kubernetes(KubernetesService {
            destination,
            kubernetes_cluster,
            disable_exec_plugin,
            delegation_session_id: _,
            name: _,
            credential_ttl: _,
            certificate_ttl: _,
            renewal_interval: _,
            roles: _,
        }) => {
            let kind = OutputKind::Kubernetes(KubernetesOutput {
                cluster: kubernetes_cluster.as_str().to_owned(),
                disable_exec_plugin: is_on(*disable_exec_plugin),
            });
            (kind, destination)
        }
        SupportedService::KubernetesV2(
            kubernetes @ KubernetesV2Service {
                destination,
                selectors,
                disable_exec_plugin,
                context_name_template: _,
                relay_server: _,
                name: _,
                credential_ttl: _,
                certificate_ttl: _,
                renewal_interval: _,
            },
        ) => {
            let kind = OutputKind::KubernetesV2(KubernetesV2Output {
                selectors: selectors.iter().map(selector).collect(),
                disable_exec_plugin: is_on(*disable_exec_plugin),
                context_name: ContextName::of_service(kubernetes)?,
            });
            (kind, destination)
        }
        SupportedService::SshHost(SshHostService {
            destination,
            principals,
            ca_type,
            name: _,
            credential_ttl: _,
            certificate_ttl: _,
            renewal_interval: _,
            roles: _,
        }) => {
            let kind = OutputKind::SshHost(SshHostOutput {
                principals: strings(principals),
                ca_type: ca_type.unwrap_or(SshCaType::User),
            });
            (kind, destination)
        }
        SupportedService::WorkloadIdentityX509(WorkloadIdentityX509Service {
            destination,
            selector,
            include_federated_trust_bundles,
            trust_domains,
            name: _,
            credential_ttl: _,
            certificate_ttl: _,
            renewal_interval: _,
        }) => {
            let domains = trust_domains.as_deref().unwrap_or_default();
            let kind = OutputKind::WorkloadX509(WorkloadX509Output {
                selector: workload_selector(selector),
                trust_app_clients: domains.contains(&TrustDomain::AppClient),
                trust_federated: is_on(*include_federated_trust_bundles),
            });
            (kind, destination)
        }
        SupportedService::WorkloadIdentityJwt(WorkloadIdentityJwtService {
            destination,
            selector,
            audiences,
            name: _,
            credential_ttl: _,
            certificate_ttl: _,
            renewal_interval: _,
        }) => {
            let audiences = audiences.iter().filter_map(|audience| non_empty(Some(audience)));
            let kind = OutputKind::WorkloadJwt(WorkloadJwtOutput {
                selector: workload_selector(selector),
                audiences: audiences.collect(),
            });
            (kind, destination)
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

/// Returns a copy of a string that is set and not empty.
fn non_empty(identifier: Option<&Identifier>) -> Option<String> {
    identifier.nonempty().map(str::to_owned)
}

fn strings(identifiers: &[Identifier]) -> Vec<String> {
    identifiers.iter().map(|identifier| identifier.as_str().to_owned()).collect()
}
