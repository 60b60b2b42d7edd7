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
use crate::agent::service::kubernetes_v2::KubernetesV2Output;
use crate::agent::service::listening::ListenerSettings;
use crate::agent::service::output::{Output, OutputKind};
use crate::agent::service::ssh_host::SshHostOutput;
use crate::agent::service::tunnel::{Tunnel, TunnelKind};
use crate::agent::service::workload_jwt::WorkloadJwtOutput;
use crate::agent::service::workload_x509::WorkloadX509Output;
use crate::config::{
    self, ApplicationProxyService, Config, Destination, Location, NamedService, SupportedService,
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
/// order, in which `run_continuously` assigns the reporters.
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
            roles: fields.roles().iter().map(|role| role.as_str().to_owned()).collect(),
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
            ServiceKind::Tunnel(kind, listen) => match listener(settings, listen, config) {
                Ok(listener) => {
                    services.listening.push(ListeningService::Tunnel(Arc::new(Tunnel { listener, kind })));
                }
                Err(error) => errors.push(error),
            },
            ServiceKind::ApplicationProxy(service) => match listener(settings, &service.listen, config) {
                Ok(listener) => {
                    let proxy = Arc::new(ApplicationProxy::new(service, listener));
                    services.listening.push(ListeningService::ApplicationProxy(proxy));
                }
                Err(error) => errors.push(error),
            },
        }
    }
    if errors.is_empty() { Ok(services) } else { Err(errors) }
}

/// Returns the settings of a service that listens at this address.
fn listener(
    settings: ServiceSettings,
    listen: &Location,
    config: &Config,
) -> Result<ListenerSettings, AgentError> {
    match listen.as_str().parse() {
        Ok(listen) => Ok(ListenerSettings { service: settings, listen, leeway: config.leeway() }),
        Err(error) => Err(AgentError::Listen { service: settings.name, error }),
    }
}

/// What a service delivers, and where.
enum ServiceKind<'a> {
    Output(OutputKind, &'a Destination),
    Tunnel(TunnelKind, &'a Location),
    ApplicationProxy(&'a ApplicationProxyService),
}

/// Returns what a service delivers. `None` if the service uses something that `Unsupported::check` refuses.
fn service_kind(service: SupportedService<'_>) -> Option<ServiceKind<'_>> {
    let (kind, destination) = match service {
        SupportedService::ApplicationTunnel(service) => {
            return Some(ServiceKind::Tunnel(TunnelKind::application(service), &service.listen));
        }
        SupportedService::DatabaseTunnel(service) => {
            return Some(ServiceKind::Tunnel(TunnelKind::database(service), &service.listen));
        }
        SupportedService::ApplicationProxy(service) => return Some(ServiceKind::ApplicationProxy(service)),
        SupportedService::Identity(service) => {
            (OutputKind::Identity(IdentityOutput::new(service)), &service.destination)
        }
        SupportedService::Application(service) => {
            (OutputKind::Application(ApplicationOutput::new(service)), &service.destination)
        }
        SupportedService::Database(service) => {
            (OutputKind::Database(DatabaseOutput::new(service)), &service.destination)
        }
        SupportedService::Kubernetes(service) => {
            (OutputKind::Kubernetes(KubernetesOutput::new(service)), &service.destination)
        }
        SupportedService::KubernetesV2(service) => {
            (OutputKind::KubernetesV2(KubernetesV2Output::new(service)?), &service.destination)
        }
        SupportedService::SshHost(service) => {
            (OutputKind::SshHost(SshHostOutput::new(service)), &service.destination)
        }
        SupportedService::WorkloadIdentityX509(service) => {
            (OutputKind::WorkloadX509(WorkloadX509Output::new(service)), &service.destination)
        }
        SupportedService::WorkloadIdentityJwt(service) => {
            (OutputKind::WorkloadJwt(WorkloadJwtOutput::new(service)), &service.destination)
        }
    };
    Some(ServiceKind::Output(kind, destination))
}
