//! One output: issues its credentials as the bot, builds its files, and writes them to its destination as one set.

use std::sync::Arc;
use std::time::SystemTime;

use super::application::ApplicationOutput;
use super::context::{IssueContext, ServiceSettings};
use super::database::DatabaseOutput;
use super::error::OutputError;
use super::files::FileSet;
use super::identity::IdentityOutput;
use super::issue::Issuer;
use super::kubernetes::KubernetesOutput;
use super::kubernetes_v2::KubernetesV2Output;
use super::ssh_host::SshHostOutput;
use super::workload_jwt::WorkloadJwtOutput;
use super::workload_x509::WorkloadX509Output;
use crate::agent::credential::identity::Identity;
use crate::agent::destination::writer::DestinationWriter;
use crate::agent::teleport::auth_client::AuthClient;
use crate::config::file_names::{HOST_CA_FILES, JWT_SVID_FILES, OTHER_CA_FILES, SSH_HOST_FILES, SVID_FILES};

/// An output, which can be written any number of times.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub(crate) settings: ServiceSettings,
    pub(crate) kind: OutputKind,
    destination: Arc<DestinationWriter>,
}

/// The type of an output, and its own settings.
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
    /// Returns true if the credentials are issued by the cluster's SPIFFE CA.
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

    /// Returns the names of files that each set of the output has. It may have more, which depend on the output's settings and on the
    /// cluster.
    pub(crate) fn required_files(&self) -> Vec<&'static str> {
        match self {
            Self::Identity(_) | Self::Application(_) | Self::Database(_) | Self::Kubernetes(_) => {
                [HOST_CA_FILES, OTHER_CA_FILES].concat()
            }
            Self::KubernetesV2(_) => HOST_CA_FILES.to_vec(),
            Self::SshHost(_) => SSH_HOST_FILES.to_vec(),
            Self::WorkloadX509(_) => SVID_FILES.to_vec(),
            Self::WorkloadJwt(_) => JWT_SVID_FILES.to_vec(),
        }
    }

    /// Returns true if the files include the list of revoked X.509 SVIDs.
    pub(crate) fn includes_revocations(&self) -> bool {
        matches!(self, Self::WorkloadX509(_))
    }
}

impl Output {
    pub(crate) fn new(settings: ServiceSettings, kind: OutputKind, destination: DestinationWriter) -> Self {
        Self { settings, kind, destination: Arc::new(destination) }
    }

    pub(crate) fn destination(&self) -> &Arc<DestinationWriter> {
        &self.destination
    }

    /// Issues the credentials and writes the files. Returns when the credentials expire.
    pub(crate) async fn write(
        &self,
        bot_client: &AuthClient,
        bot_identity: &Identity,
        context: &IssueContext<'_>,
    ) -> Result<SystemTime, OutputError> {
        self.destination.run_blocking(context.file_work, DestinationWriter::prepare).await?;
        let directory = self.destination.directory();
        let issuer = Issuer::new(&self.settings, directory, bot_client, bot_identity, context);
        let FileSet { files, earlier, not_after } = match &self.kind {
            OutputKind::Identity(output) => output.issue(&issuer).await,
            OutputKind::Application(output) => output.issue(&issuer).await,
            OutputKind::Database(output) => output.issue(&issuer).await,
            OutputKind::Kubernetes(output) => output.issue(&issuer).await,
            OutputKind::KubernetesV2(output) => output.issue(&issuer).await,
            OutputKind::SshHost(output) => output.issue(&issuer).await,
            OutputKind::WorkloadX509(output) => output.issue(&issuer).await,
            OutputKind::WorkloadJwt(output) => output.issue(&issuer).await,
        }?;
        // Without this, the next renewal would be due at once, again and again.
        if not_after <= context.clock.now() {
            return Err(OutputError::AlreadyExpired);
        }
        debug_assert!(
            self.kind.required_files().iter().all(|name| files.iter().any(|(written, _)| written == name)),
            "a required file is missing"
        );
        let write = move |destination: &DestinationWriter| destination.write(files, &earlier);
        self.destination.run_blocking(context.file_work, write).await?;
        Ok(not_after)
    }
}
