//! The `workload-identity-jwt` output: a token that says which workload it is, for those that it was asked for.

use super::files::Set;
use super::issue::Issuer;
use super::workload_identity::issue;
use super::{OutputError, WorkloadSelector};
use crate::agent::api::SvidRequest;
use crate::agent::svid::JwtSvid;

#[derive(Clone, Debug)]
pub(crate) struct WorkloadJwt {
    pub(crate) selector: WorkloadSelector,
    /// At least one.
    pub(crate) audiences: Vec<String>,
}

impl WorkloadJwt {
    pub(super) async fn set(&self, issuer: &Issuer<'_>) -> Result<Set, OutputError> {
        let request = SvidRequest::Jwt(self.audiences.clone());
        let credential = issue(issuer, &self.selector, request).await?;
        let svid = JwtSvid::new(credential, &self.audiences, issuer.around.clock.now())?;
        let mut set = Set { files: Vec::new(), not_after: svid.not_after };
        set.push("jwt_svid", svid.token);
        Ok(set)
    }
}
