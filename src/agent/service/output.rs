//! One output: issues its credentials as the bot, builds its files, and writes them to its destination as one set.

use std::sync::Arc;
use std::time::SystemTime;

use super::application::ApplicationOutput;
use super::context::{IssueContext, OutputSettings};
use super::database::DatabaseOutput;
use super::error::OutputError;
use super::files::Set;
use super::identity::IdentityOutput;
use super::issue::Issuer;
use super::kubernetes::KubernetesOutput;
use super::kubernetes_v2::KubernetesV2Output;
use super::ssh_host::SshHostOutput;
use super::workload_jwt::WorkloadJwtOutput;
use super::workload_x509::WorkloadX509Output;
use crate::agent::credential::identity::Identity;
use crate::agent::platform::tasks::run_blocking;
use crate::agent::teleport::auth_client::AuthClient;

/// An output, ready to be written any number of times.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub(crate) settings: OutputSettings,
    pub(crate) kind: OutputKind,
}

/// What an output is for.
#[derive(Clone, Debug)]
pub(crate) enum OutputKind {
    Identity(IdentityOutput),
    Application(ApplicationOutput),
    Database(DatabaseOutput),
    Kubernetes(KubernetesOutput),
    KubernetesV2(KubernetesV2Output),
    SshHost(SshHostOutput),
    WorkloadX509(WorkloadX509Output),
    WorkloadJwt(WorkloadJwtOutput),
}

impl OutputKind {
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

impl Output {
    /// Issues and writes everything; answers when the credentials end.
    pub(crate) async fn write(
        &self,
        bot: &AuthClient,
        bot_identity: &Identity,
        cx: &IssueContext<'_>,
    ) -> Result<SystemTime, OutputError> {
        let destination = Arc::clone(&self.settings.destination);
        run_blocking(move || destination.prepare()).await?;
        let issuer = Issuer::new(&self.settings, bot, bot_identity, cx);
        let Set { files, not_after } = match &self.kind {
            OutputKind::Identity(kind) => kind.set(&issuer).await,
            OutputKind::Application(kind) => kind.set(&issuer).await,
            OutputKind::Database(kind) => kind.set(&issuer).await,
            OutputKind::Kubernetes(kind) => kind.set(&issuer).await,
            OutputKind::KubernetesV2(kind) => kind.set(&issuer).await,
            OutputKind::SshHost(kind) => kind.set(&issuer).await,
            OutputKind::WorkloadX509(kind) => kind.set(&issuer).await,
            OutputKind::WorkloadJwt(kind) => kind.set(&issuer).await,
        }?;
        let destination = Arc::clone(&self.settings.destination);
        run_blocking(move || destination.write(files)).await?;
        Ok(not_after)
    }
}
