//! The `workload-identity-jwt` output: a JWT that identifies a workload to the configured audiences.

use super::error::OutputError;
use super::files::FileSet;
use super::issue::Issuer;
use super::svid::JwtSvid;
use super::workload_identity::{issue, selector_of};
use crate::agent::teleport::auth_client::{SvidRequest, WorkloadSelector};
use crate::config::WorkloadIdentityJwtService;

#[derive(Clone, Debug)]
pub(crate) struct WorkloadJwtOutput {
    selector: WorkloadSelector,
    /// At least one audience.
    audiences: Vec<String>,
}

impl WorkloadJwtOutput {
    pub(crate) fn new(service: &WorkloadIdentityJwtService) -> Self {
        let WorkloadIdentityJwtService {
            destination: _,
            selector,
            audiences,
            name: _,
            credential_ttl: _,
            certificate_ttl: _,
            renewal_interval: _,
        } = service;
        let audiences = audiences.iter().filter(|audience| !audience.is_empty());
        Self {
            selector: selector_of(selector),
            audiences: audiences.map(|audience| audience.as_str().to_owned()).collect(),
        }
    }

    pub(super) async fn issue(&self, issuer: &Issuer<'_>) -> Result<FileSet, OutputError> {
        let request = SvidRequest::Jwt(self.audiences.clone());
        let credential = issue(issuer, &self.selector, request).await?;
        let svid = JwtSvid::new(credential, &self.audiences, issuer.context.clock.now())?;
        let mut files = FileSet::new(svid.not_after);
        files.push("jwt_svid", svid.token);
        Ok(files)
    }
}
