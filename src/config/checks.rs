//! Checks the meaning of a configuration, which its schema cannot express. Every check runs, in the order of the file,
//! whatever the others find. Depends on the configuration types and `diagnostic`.

mod destinations;
mod expansion;
mod findings;
mod formats;
mod join;
mod kubernetes;
mod lifetimes;
mod scoped;
mod service_names;
mod services;
mod workload_identity;

use serde_json::Value;

use super::scalar::is_on;
use super::v2::Config;
use crate::diagnostic::Diagnostic;
use crate::pointer::Pointer;

pub use findings::Purpose;
use findings::{Findings, services_with_pointers};

/// Reports every finding about a configuration. `value` is the same configuration as a value. Pointers refer to version
/// 2 of the format.
pub(super) fn check(config: &Config, value: &Value, purpose: Purpose, diagnostics: &mut Vec<Diagnostic>) {
    let mut findings = Findings::new(diagnostics);
    join::check(config, purpose, &mut findings);
    lifetimes::check_top_level(config, &mut findings);
    if let Some(storage) = &config.storage {
        destinations::check(storage, &Pointer::root().key("storage"), &mut findings);
    }
    for (pointer, service) in services_with_pointers(config) {
        services::check(service, &pointer, &mut findings);
        lifetimes::check_service(config, service, &pointer, &mut findings);
        if is_on(config.scoped) {
            scoped::check(service, &pointer, &mut findings);
        }
        if config.is_oneshot() {
            services::check_oneshot(service, &pointer, &mut findings);
        }
    }
    service_names::check(config, &mut findings);
    destinations::check_shared(config, &mut findings);
    expansion::check(value, &mut findings);
}
