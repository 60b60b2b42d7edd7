//! What a scoped bot can run.

use super::Findings;
use crate::config::{Service, is_on};
use crate::diagnostic::{Code, Diagnostic, Target};
use crate::pointer::Pointer;

pub(super) fn check(service: &Service, place: &Pointer, findings: &mut Findings<'_>) {
    match service {
        Service::Identity(identity) => {
            let fields = [
                ("cluster", identity.cluster.as_ref().is_some_and(|cluster| !cluster.is_empty())),
                ("allow_reissue", is_on(identity.allow_reissue)),
                (
                    "delegation_session_id",
                    identity.delegation_session_id.as_ref().is_some_and(|id| !id.is_empty()),
                ),
            ];
            for (key, there) in fields {
                if there {
                    let message = format!("a scoped bot cannot use `{key}`");
                    let place = Target::Key(place.key(key));
                    findings.report(
                        Diagnostic::new(Code::NotScoped, place, message)
                            .with_help("remove it, or `scoped: true`"),
                    );
                }
            }
        }
        Service::WorkloadIdentityX509(_)
        | Service::WorkloadIdentityJwt(_)
        | Service::WorkloadIdentityApi(_) => {}
        other => findings.at(
            Code::NotScoped,
            place.key("type"),
            format!("a scoped bot cannot run `{}`", other.type_name()),
            "a scoped bot can run `identity`, `workload-identity-x509`, `workload-identity-jwt` and \
             `workload-identity-api`",
        ),
    }
}
