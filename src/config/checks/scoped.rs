//! Checks that a scoped bot supports a service.

use super::findings::Findings;
use crate::config::hints::quoted_list;
use crate::config::scalar::{OptionalString as _, is_on};
use crate::config::service::{Service, ServiceType};
use crate::diagnostic::{Code, Diagnostic, Target};
use crate::pointer::Pointer;

pub(super) fn check(service: &Service, pointer: &Pointer, findings: &mut Findings<'_>) {
    if !service.service_type().scoped {
        let scoped = ServiceType::ALL.iter().filter(|service_type| service_type.scoped);
        let names: Vec<&str> = scoped.map(|service_type| service_type.name).collect();
        findings.report_value(
            Code::NotScoped,
            pointer.key("type"),
            format!("a scoped bot does not support `{}`", service.type_name()),
            format!("a scoped bot supports {}", quoted_list(&names)),
        );
    }
    if let Service::Identity(identity) = service {
        let fields = [
            ("cluster", identity.cluster.nonempty().is_some()),
            ("allow_reissue", is_on(identity.allow_reissue)),
            ("delegation_session_id", identity.delegation_session_id.nonempty().is_some()),
        ];
        for (key, is_set) in fields {
            if is_set {
                let message = format!("a scoped bot does not support `{key}`");
                findings.report(
                    Diagnostic::new(Code::NotScoped, Target::Key(pointer.key(key)), message)
                        .with_help("remove it, or remove `scoped: true`")
                        .naming(Pointer::root().key("scoped")),
                );
            }
        }
    }
}
