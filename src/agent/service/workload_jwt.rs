//! The `workload-identity-jwt` output: a JWT that identifies a workload to the configured audiences.

use super::error::OutputError;
use super::files::FileSet;
use super::issue::Issuer;
use super::svid::JwtSvid;
use super::workload_identity::issue;
use crate::agent::teleport::auth_client::{SvidRequest, WorkloadSelector};

#[derive(Clone, Debug)]
pub(crate) struct WorkloadJwtOutput {
    pub(crate) selector: WorkloadSelector,
    /// At least one audience.
    pub(crate) audiences: Vec<String>,
}

impl WorkloadJwtOutput {
    pub(super) async fn issue(&self, issuer: &Issuer<'_>) -> Result<FileSet, OutputError> {
        let request = SvidRequest::Jwt(self.audiences.clone());
        let credential = issue(issuer, &self.selector, request).await?;
        let svid = JwtSvid::new(credential, &self.audiences, issuer.context.clock.now())?;
        let mut files = FileSet::new(svid.not_after);
        files.push("jwt_svid", svid.token);
        Ok(files)
    }
}
