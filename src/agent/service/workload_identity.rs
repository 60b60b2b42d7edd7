//! Issues the credential of a workload identity output, which must select exactly one workload identity.

use super::error::{OutputError, WorkloadIdentityError};
use super::issue::Issuer;
use crate::agent::teleport::api_error::ApiError;
use crate::agent::teleport::auth_client::{SvidRequest, WorkloadSelector};
use crate::agent::teleport::grpc_code::GrpcCode;
use crate::agent::teleport::messages::Credential;
use crate::config::{OptionalString as _, WorkloadIdentitySelector};

/// Returns the selector of an output, which selects by the name if there is one.
pub(super) fn selector_of(selector: &WorkloadIdentitySelector) -> WorkloadSelector {
    if let Some(name) = selector.name.nonempty() {
        return WorkloadSelector::Name(name.to_owned());
    }
    let labels =
        selector.labels.iter().flatten().map(|(key, values)| {
            (key.clone(), values.0.iter().map(|value| value.as_str().to_owned()).collect())
        });
    WorkloadSelector::Labels(labels.collect())
}

/// Issues the credential of the one workload identity that the output selects, with the output's roles.
pub(super) async fn issue(
    issuer: &Issuer<'_>,
    selector: &WorkloadSelector,
    request: SvidRequest,
) -> Result<Credential, OutputError> {
    let impersonated = issuer.impersonate().await?;
    let client = issuer.client_as(&impersonated)?;
    let issued = client.issue_svids(selector, request, issuer.settings.ttl).await;
    let issued = match (issued, selector) {
        (Err(error), _) if error.is_unimplemented() => {
            return Err(WorkloadIdentityError::NotServed(issuer.bot_client.info().server_major).into());
        }
        (Err(ApiError::Refused { code: GrpcCode::NotFound, .. }), WorkloadSelector::Name(name)) => {
            return Err(WorkloadIdentityError::NotFound(name.clone()).into());
        }
        (issued, _) => issued?,
    };
    Ok(exactly_one(issued)?)
}

fn exactly_one(mut issued: Vec<Credential>) -> Result<Credential, WorkloadIdentityError> {
    match (issued.pop(), issued.len()) {
        (Some(only), 0) => Ok(only),
        (None, _) => Err(WorkloadIdentityError::NoneSelected),
        (Some(last), _) => {
            let name = |Credential { workload_identity_name, spiffe_id, .. }: Credential| {
                format!("{workload_identity_name}:{spiffe_id}")
            };
            let names = issued.into_iter().chain([last]).map(name).collect();
            Err(WorkloadIdentityError::Ambiguous(names))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(name: &str) -> Credential {
        Credential {
            workload_identity_name: name.to_owned(),
            spiffe_id: format!("spiffe://dev.test/{name}"),
            ..Credential::default()
        }
    }

    #[test]
    fn anything_but_one_credential_is_an_error() {
        assert_eq!(exactly_one(vec![credential("a")]).unwrap(), credential("a"));
        assert_eq!(exactly_one(vec![]), Err(WorkloadIdentityError::NoneSelected));
        let names = ["a:spiffe://dev.test/a", "b:spiffe://dev.test/b"].into_iter().collect();
        assert_eq!(
            exactly_one(vec![credential("a"), credential("b")]),
            Err(WorkloadIdentityError::Ambiguous(names))
        );
    }
}
