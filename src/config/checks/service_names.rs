//! Checks the names of services: valid characters, reserved names, and that each name is unique, including generated
//! names.

use std::collections::HashMap;

use super::findings::Findings;
use crate::config::service_names::{NamedService, is_allowed_in_name};
use crate::diagnostic::{Code, Diagnostic, Target};
use crate::pointer::Pointer;

/// The names of the agent's internal services.
const RESERVED: [&str; 5] =
    ["ca-rotation", "crl-cache", "heartbeat", "identity", "spiffe-trust-bundle-cache"];

pub(super) fn check(services: &[NamedService<'_>], findings: &mut Findings<'_>) {
    let mut names: HashMap<&str, (Pointer, bool)> = HashMap::new();
    for NamedService { pointer, name, is_generated, .. } in services {
        let is_configured = !is_generated;
        let name_pointer = if is_configured { pointer.key("name") } else { pointer.clone() };
        if is_configured && !check_name(name, &name_pointer, findings) {
            continue;
        }
        match names.get(name.as_str()) {
            None => {
                names.insert(name, (name_pointer, is_configured));
            }
            Some((other, other_is_configured)) => {
                // Report the configured name, because only that one can be changed.
                let (pointer, related) =
                    if is_configured { (name_pointer, other.clone()) } else { (other.clone(), name_pointer) };
                let message = if is_configured && *other_is_configured {
                    "another service has the same name"
                } else {
                    "this is also the generated name of another service"
                };
                findings.report(
                    Diagnostic::new(Code::DuplicateName, Target::Value(pointer), message)
                        .with_related("the other service is here", Target::Value(related))
                        .with_help("use a different name for each service"),
                );
            }
        }
    }
}

/// Reports a name that is not allowed. Returns whether it is allowed.
fn check_name(name: &str, pointer: &Pointer, findings: &mut Findings<'_>) -> bool {
    if !name.bytes().all(is_allowed_in_name) {
        findings.report_value(
            Code::InvalidName,
            pointer.clone(),
            "the name contains invalid characters",
            "use only `a-z`, `0-9`, `_`, `-` and `+`",
        );
        return false;
    }
    if RESERVED.contains(&name) {
        findings.report_value(
            Code::InvalidName,
            pointer.clone(),
            "the name is reserved for an internal service of the agent",
            "use a different name",
        );
        return false;
    }
    true
}
