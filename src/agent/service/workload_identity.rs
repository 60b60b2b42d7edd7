//! What the outputs for workloads have in common: which workload identity, and that it is exactly one.

use tonic::Code;

use super::error::OutputError;
use super::issue::Issuer;
use crate::agent::teleport::api_error::ApiError;
use crate::agent::teleport::auth_client::SvidRequest;
use crate::agent::teleport::auth_client::WorkloadSelector;
use crate::agent::teleport::messages::workload_identity::Credential;

/// So many are named; whoever selects more will not read on.
const NAMED: usize = 10;

/// No workload identity, or no single one, is what an output selects.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkloadIdentityError {
    /// The server is too old.
    #[error(
        "this cluster (Teleport {0}) does not issue workload identities: upgrade it to 17.2.7 or newer, or remove this service"
    )]
    NotServed(u32),
    /// Nothing of this name.
    #[error("workload identity \"{0}\" not found: check the name (tctl get workload_identity)")]
    NotFound(String),
    /// Nothing with these labels that the bot may have.
    #[error(
        "no workload identity has the labels of the selector and may be issued to this bot: check the labels (tctl get workload_identity), and that a role of the bot has workload_identity_labels for it and the rule `workload_identity: [list, read]`"
    )]
    NoneSelected,
    /// Several with these labels.
    #[error(
        "the selector finds several workload identities, and this output is for one: select one of {}",
        .0.join(", ")
    )]
    Several(Vec<String>),
    /// The cluster has no authority for workloads.
    #[error("the cluster {0} has no SPIFFE authority: what it issues to workloads cannot be verified")]
    NoAuthority(String),
}

/// Has the one credential issued that an output is for, as the bot acting with all of its roles.
pub(super) async fn issue(
    issuer: &Issuer<'_>,
    selector: &WorkloadSelector,
    request: SvidRequest,
) -> Result<Credential, OutputError> {
    let impersonated = issuer.impersonated(false).await?;
    let client = issuer.client_of(&impersonated).await?;
    let issued = client.issue_svids(selector, request, issuer.settings.ttl).await;
    let issued = match (issued, selector) {
        (Err(error), _) if error.is_unimplemented() => {
            return Err(WorkloadIdentityError::NotServed(issuer.bot.info().server_major).into());
        }
        (Err(ApiError::Refused { code: Code::NotFound, .. }), WorkloadSelector::Name(name)) => {
            return Err(WorkloadIdentityError::NotFound(name.clone()).into());
        }
        (issued, _) => issued?,
    };
    Ok(only(issued)?)
}

fn only(issued: Vec<Credential>) -> Result<Credential, WorkloadIdentityError> {
    let count = issued.len();
    let mut issued = issued.into_iter();
    match (issued.next(), count) {
        (Some(only), 1) => Ok(only),
        (None, _) => Err(WorkloadIdentityError::NoneSelected),
        (Some(first), _) => {
            // Names are the server's words, which shall not break a line of the log.
            let named = |one: Credential| {
                format!("{}:{}", one.workload_identity_name.escape_debug(), one.spiffe_id.escape_debug())
            };
            let mut names: Vec<String> =
                std::iter::once(first).chain(issued).take(NAMED).map(named).collect();
            if count > NAMED {
                names.push(format!("{} more", count - NAMED));
            }
            Err(WorkloadIdentityError::Several(names))
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
    fn exactly_one_will_do() {
        assert_eq!(only(vec![credential("a")]).unwrap(), credential("a"));
        assert_eq!(only(vec![]), Err(WorkloadIdentityError::NoneSelected));
        let several = only(vec![credential("a"), credential("b\n")]).unwrap_err().to_string();
        assert!(several.ends_with(r"one of a:spiffe://dev.test/a, b\n:spiffe://dev.test/b\n"), "{several}");
        let many = only(vec![credential("a"); 12]).unwrap_err().to_string();
        assert!(many.ends_with("a:spiffe://dev.test/a, 2 more"), "{many}");
    }
}
