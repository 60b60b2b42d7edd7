//! Checks that a scoped bot supports a service.

use super::findings::Findings;
use crate::config::scalar::is_on;
use crate::config::service::Service;
use crate::diagnostic::{Code, Diagnostic, Target};
use crate::pointer::Pointer;

pub(super) fn check(service: &Service, pointer: &Pointer, findings: &mut Findings<'_>) {
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
            for (key, is_set) in fields {
                if is_set {
                    let message = format!("a scoped bot does not support `{key}`");
                    findings.report(
                        Diagnostic::new(Code::NotScoped, Target::Key(pointer.key(key)), message)
                            .with_help("remove it, or remove `scoped: true`"),
                    );
                }
            }
        }
        Service::WorkloadIdentityX509(_)
        | Service::WorkloadIdentityJwt(_)
        | Service::WorkloadIdentityApi(_) => {}
        other => findings.report_value(
            Code::NotScoped,
            pointer.key("type"),
            format!("a scoped bot does not support `{}`", other.type_name()),
            "a scoped bot supports `identity`, `workload-identity-x509`, `workload-identity-jwt` and \
             `workload-identity-api`",
        ),
    }
}
