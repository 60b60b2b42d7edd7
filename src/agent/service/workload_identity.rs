//! Issues the credential of a workload identity output, which must select exactly one workload identity.

use super::error::{OutputError, WorkloadIdentityError};
use super::issue::Issuer;
use crate::agent::teleport::api_error::ApiError;
use crate::agent::teleport::auth_client::{SvidRequest, WorkloadSelector};
use crate::agent::teleport::grpc_code::GrpcCode;
use crate::agent::teleport::messages::Credential;
use crate::untrusted::escape;

/// The number of workload identities that an error lists.
const MAX_NAMED: usize = 10;

/// Issues the credential of the one workload identity that the output selects, with the output's roles.
pub(super) async fn issue(
    issuer: &Issuer<'_>,
    selector: &WorkloadSelector,
    request: SvidRequest,
) -> Result<Credential, OutputError> {
    let impersonated = issuer.impersonate(false).await?;
    let client = issuer.connect_as(&impersonated).await?;
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

fn exactly_one(issued: Vec<Credential>) -> Result<Credential, WorkloadIdentityError> {
    let count = issued.len();
    let mut issued = issued.into_iter();
    match (issued.next(), count) {
        (Some(only), 1) => Ok(only),
        (None, _) => Err(WorkloadIdentityError::NoneSelected),
        (Some(first), _) => {
            let name = |credential: Credential| {
                let Credential { workload_identity_name, spiffe_id, .. } = credential;
                format!("{}:{}", escape(&workload_identity_name), escape(&spiffe_id))
            };
            let mut names: Vec<String> =
                std::iter::once(first).chain(issued).take(MAX_NAMED).map(name).collect();
            if count > MAX_NAMED {
                names.push(format!("{} more", count - MAX_NAMED));
            }
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
        let ambiguous = |names: &[&str]| {
            Err(WorkloadIdentityError::Ambiguous(names.iter().map(|name| (*name).to_owned()).collect()))
        };
        assert_eq!(
            exactly_one(vec![credential("a"), credential("b\n")]),
            ambiguous(&["a:spiffe://dev.test/a", r"b\n:spiffe://dev.test/b\n"])
        );
        let mut names = ["a:spiffe://dev.test/a"; MAX_NAMED + 1];
        names[MAX_NAMED] = "2 more";
        assert_eq!(exactly_one(vec![credential("a"); MAX_NAMED + 2]), ambiguous(&names));
    }
}
