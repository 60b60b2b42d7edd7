//! Turns the services of the configuration into outputs.

use std::sync::Arc;
use std::time::Duration;

use super::error::AgentError;
use super::unsupported::Unsupported;
use crate::agent::destination::writer::{Destination, Place};
use crate::agent::platform::options::{Clock, Environment};
use crate::agent::service::application::ApplicationOutput;
use crate::agent::service::context::OutputSettings;
use crate::agent::service::context_name::ContextName;
use crate::agent::service::database::DatabaseOutput;
use crate::agent::service::identity::IdentityOutput;
use crate::agent::service::kubernetes::KubernetesOutput;
use crate::agent::service::kubernetes_v2::{self, KubernetesV2Output};
use crate::agent::service::output::{Output, OutputKind};
use crate::agent::service::ssh_host::SshHostOutput;
use crate::agent::service::workload_jwt::WorkloadJwtOutput;
use crate::agent::service::workload_x509::WorkloadX509Output;
use crate::agent::teleport::auth_client::WorkloadSelector;
use crate::config::{
    self, Config, DatabaseFormat, Identifier, KubernetesSelector, Service, SshCaType, SshConfigMode,
    TrustDomain, WorkloadIdentitySelector, is_on,
};

/// Every service in the order in which they are numbered. A service without a name has its type and its number.
pub(super) fn outputs(
    config: &Config,
    environment: &Environment,
    clock: &Clock,
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
        let place = Place::new(fields.destination().ok_or_else(unsupported)?, environment, clock)
            .map_err(|error| AgentError::Destination { output: name.clone(), error })?;
        outputs.push(Output {
            kind: kind(service).ok_or_else(unsupported)?,
            settings: OutputSettings {
                name,
                destination: Arc::new(Destination::new(place)),
                roles: texts(fields.roles()),
                ttl: or(lifetime.credential_ttl, ttl),
                interval: or(lifetime.renewal_interval, interval),
            },
        });
    }
    Ok(outputs)
}

fn kind(service: &Service) -> Option<OutputKind> {
    Some(match service {
        Service::Identity(identity) => OutputKind::Identity(IdentityOutput {
            leaf: text(identity.cluster.as_ref()),
            allow_reissue: is_on(identity.allow_reissue),
            with_ssh_config: identity.ssh_config != Some(SshConfigMode::Off),
        }),
        Service::Application(application) => OutputKind::Application(ApplicationOutput {
            name: application.app_name.as_str().to_owned(),
            specific_tls_naming: is_on(application.specific_tls_naming),
        }),
        Service::Database(database) => OutputKind::Database(DatabaseOutput {
            service: database.service.as_str().to_owned(),
            database: text(database.database.as_ref()).unwrap_or_default(),
            username: text(database.username.as_ref()).unwrap_or_default(),
            format: database.format.unwrap_or(DatabaseFormat::Plain),
        }),
        Service::Kubernetes(kubernetes) => OutputKind::Kubernetes(KubernetesOutput {
            cluster: kubernetes.kubernetes_cluster.as_str().to_owned(),
            disable_exec_plugin: is_on(kubernetes.disable_exec_plugin),
        }),
        Service::KubernetesV2(kubernetes) => OutputKind::KubernetesV2(KubernetesV2Output {
            selectors: kubernetes.selectors.iter().map(selector).collect(),
            disable_exec_plugin: is_on(kubernetes.disable_exec_plugin),
            context_name: ContextName::of_service(kubernetes)?,
        }),
        Service::SshHost(host) => OutputKind::SshHost(SshHostOutput {
            principals: texts(&host.principals),
            ca_type: host.ca_type.unwrap_or(SshCaType::User),
        }),
        Service::WorkloadIdentityX509(x509) => {
            let domains = x509.trust_domains.as_deref().unwrap_or_default();
            OutputKind::WorkloadX509(WorkloadX509Output {
                selector: workloads(&x509.selector),
                trust_app_clients: domains.contains(&TrustDomain::AppClient),
                trust_federated: is_on(x509.include_federated_trust_bundles),
            })
        }
        Service::WorkloadIdentityJwt(jwt) => OutputKind::WorkloadJwt(WorkloadJwtOutput {
            selector: workloads(&jwt.selector),
            audiences: jwt.audiences.iter().filter_map(|audience| text(Some(audience))).collect(),
        }),
        _ => return None,
    })
}

fn selector(selector: &KubernetesSelector) -> kubernetes_v2::KubernetesSelector {
    let labels = selector.labels.iter().flatten();
    kubernetes_v2::KubernetesSelector {
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
