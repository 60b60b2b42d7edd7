//! One output: issues its credentials as the bot, fetches what goes beside them, writes the set to its destination.
//!
//! `output/` holds one file a type, and the formats, which are pure: values in, text out.

mod application;
mod database;
mod error;
mod files;
mod identity;
mod issue;
mod known_hosts;
mod kubeconfig;
mod kubernetes;
mod kubernetes_v2;
mod lookup;
mod ssh_config;
mod ssh_host;
mod workload_identity;
mod workload_jwt;
mod workload_x509;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

pub(crate) use super::api::WorkloadSelector;
use super::api::{AuthClient, Authority};
use super::destination::Destination;
use super::identity::Identity;
use super::options::Clock;
use super::route::Route;
use super::task::blocking;
use super::web::Web;
pub(crate) use application::Application;
pub(crate) use database::{Database, Format};
pub use error::OutputError;
pub(crate) use files::Set;
pub(crate) use identity::IdentityOutput;
use issue::Issuer;
pub(crate) use kubeconfig::ContextName;
pub(crate) use kubernetes::Kubernetes;
pub(crate) use kubernetes_v2::{KubernetesV2, Selector};
pub use lookup::LookupError;
pub(crate) use ssh_host::{SshAuthority, SshHost};
pub use workload_identity::WorkloadIdentityError;
pub(crate) use workload_jwt::WorkloadJwt;
pub(crate) use workload_x509::WorkloadX509;

/// An output, ready to be written any number of times.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    /// The service's name, for logs and errors.
    pub(crate) name: String,
    pub(crate) destination: Arc<Destination>,
    /// Roles to act with; empty means all that the bot may.
    pub(crate) roles: Vec<String>,
    pub(crate) ttl: Duration,
    pub(crate) interval: Duration,
    pub(crate) kind: Kind,
}

/// What an output is for.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Identity(IdentityOutput),
    Application(Application),
    Database(Database),
    Kubernetes(Kubernetes),
    KubernetesV2(KubernetesV2),
    SshHost(SshHost),
    WorkloadX509(WorkloadX509),
    WorkloadJwt(WorkloadJwt),
}

impl Kind {
    /// Whether it is for workloads: of the cluster's SPIFFE authority.
    pub(crate) fn is_for_workloads(&self) -> bool {
        match self {
            Self::WorkloadX509(_) | Self::WorkloadJwt(_) => true,
            Self::Identity(_)
            | Self::Application(_)
            | Self::Database(_)
            | Self::Kubernetes(_)
            | Self::KubernetesV2(_)
            | Self::SshHost(_) => false,
        }
    }
}

/// What every output needs from the agent.
pub(crate) struct Surroundings<'a> {
    pub(crate) route: &'a Route,
    pub(crate) web: &'a Web,
    pub(crate) clock: &'a Clock,
    /// Absolute path of our own command.
    pub(crate) command: &'a Path,
    /// `host:port` to name in files instead of what the cluster advertises.
    pub(crate) proxy_address: Option<&'a str>,
    /// `host:port` to name in files where the cluster advertises nothing.
    pub(crate) fallback_proxy_address: String,
}

impl Output {
    /// Issues and writes everything; answers when the credentials end.
    pub(crate) async fn write(
        &self,
        bot: &AuthClient,
        bot_identity: &Identity,
        around: &Surroundings<'_>,
    ) -> Result<SystemTime, OutputError> {
        let destination = Arc::clone(&self.destination);
        blocking(move || destination.prepare()).await?;
        let issuer = Issuer::new(self, bot, bot_identity, around);
        let Set { files, not_after } = match &self.kind {
            Kind::Identity(kind) => kind.set(&issuer).await,
            Kind::Application(kind) => kind.set(&issuer).await,
            Kind::Database(kind) => kind.set(&issuer).await,
            Kind::Kubernetes(kind) => kind.set(&issuer).await,
            Kind::KubernetesV2(kind) => kind.set(&issuer).await,
            Kind::SshHost(kind) => kind.set(&issuer).await,
            Kind::WorkloadX509(kind) => kind.set(&issuer).await,
            Kind::WorkloadJwt(kind) => kind.set(&issuer).await,
        }?;
        let destination = Arc::clone(&self.destination);
        blocking(move || destination.write(files)).await?;
        Ok(not_after)
    }
}
