//! Checks the names of services: valid characters, reserved names, and that each name is unique, including generated
//! names.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::findings::Findings;
use crate::config::service_names::{NamedService, is_allowed_in_name};
use crate::diagnostic::{Code, Diagnostic, Target};
use crate::pointer::Pointer;

/// The names of the agent's internal services.
const RESERVED: [&str; 5] =
    ["ca-rotation", "crl-cache", "heartbeat", "identity", "spiffe-trust-bundle-cache"];

pub(super) fn check(services: &[NamedService<'_>], findings: &mut Findings<'_>) {
    let mut names: HashMap<&str, &NamedService<'_>> = HashMap::new();
    for service in services {
        if !service.is_generated && !check_name(&service.name, &name_pointer(service), findings) {
            continue;
        }
        match names.entry(&service.name) {
            Entry::Vacant(entry) => {
                entry.insert(service);
            }
            Entry::Occupied(entry) => {
                let other = entry.get();
                // Report the configured name, because only that one can be changed.
                let (reported, related) =
                    if service.is_generated { (*other, service) } else { (service, *other) };
                let message = if service.is_generated || other.is_generated {
                    "this is also the generated name of another service"
                } else {
                    "another service has the same name"
                };
                findings.report(
                    Diagnostic::new(Code::DuplicateName, Target::Value(name_pointer(reported)), message)
                        .with_related("the other service is here", Target::Value(name_pointer(related)))
                        .with_help("use a different name for each service"),
                );
            }
        }
    }
}

/// Returns the pointer of the configured name, or else of the service.
fn name_pointer(service: &NamedService<'_>) -> Pointer {
    if service.is_generated { service.pointer.clone() } else { service.pointer.key("name") }
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
