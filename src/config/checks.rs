//! Checks the meaning of a configuration, which its schema cannot express. Every check runs, in the order of the file,
//! whatever the others find. Depends on the configuration types and `diagnostic`.

mod addresses;
mod characters;
mod delivery;
mod destination_key;
mod destinations;
mod expansion;
mod findings;
mod formats;
mod join;
mod kubernetes;
mod lifetimes;
mod listeners;
mod overlaps;
mod placeholders;
mod scoped;
mod service_names;
mod services;
mod templates;
mod workload_identity;

use serde_json::Value;

use super::load_options::{LoadOptions, ProcessContext, Purpose};
use super::scalar::is_on;
use super::service_names::NamedService;
use super::strings;
use super::v2::Config;
use crate::diagnostic::{Code, Diagnostic, Severity, Target};
use crate::pointer::Pointer;

use findings::Findings;

/// Reports every finding about a configuration. `value` is the same configuration as a value. Pointers refer to version
/// 2 of the format.
pub(super) fn check(
    config: &Config,
    value: &Value,
    options: &LoadOptions,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let mut findings = Findings::new(diagnostics, options);
    addresses::check(config, &mut findings);
    join::check(config, value, &mut findings);
    lifetimes::check_top_level(config, &mut findings);
    if let Some(storage) = &config.storage {
        destinations::check(storage, &Pointer::root().key("storage"), &mut findings);
    }
    let named_services: Vec<NamedService<'_>> = config.named_services().collect();
    for NamedService { pointer, service, .. } in &named_services {
        services::check(service, pointer, &mut findings);
        lifetimes::check_service(config, service, pointer, &mut findings);
        if is_on(config.scoped) {
            scoped::check(service, pointer, &mut findings);
        }
        if config.is_oneshot() {
            services::check_oneshot(service, pointer, &mut findings);
        } else {
            services::check_exposure(service, pointer, &mut findings);
            services::check_listen_host(service, pointer, &mut findings);
        }
    }
    service_names::check(&named_services, &mut findings);
    delivery::check(config, &named_services, &mut findings);
    listeners::check(config, &named_services, &mut findings);
    overlaps::check(config, &named_services, &mut findings);
    strings::for_each(value, &mut |string| {
        expansion::check(string, &mut findings);
        placeholders::check(string, &mut findings);
        characters::check(string, &mut findings);
    });
    report_unsupported(config, &mut findings);
    placeholders::merge_findings(diagnostics);
}

/// Returns the errors about overlaps of what the agent writes in this process.
pub(super) fn errors_of_overlaps(config: &Config, process: ProcessContext) -> Vec<Diagnostic> {
    let options = LoadOptions { purpose: Purpose::Start, process: Some(process) };
    let named_services: Vec<NamedService<'_>> = config.named_services().collect();
    let mut diagnostics = Vec::new();
    overlaps::check(config, &named_services, &mut Findings::new(&mut diagnostics, &options));
    diagnostics.retain(|diagnostic| diagnostic.severity == Severity::Error);
    diagnostics
}

/// Reports what this version of the agent cannot run, unless it would have to change anyway.
fn report_unsupported(config: &Config, findings: &mut Findings<'_>) {
    let errors = findings.pointers_of_errors();
    for part in config.unsupported_parts() {
        if !errors.contains(&part.pointer) {
            let message = format!("this version of tbot does not support {}", part.what);
            findings.report(
                Diagnostic::new(Code::NotSupported, Target::Value(part.pointer), message)
                    .with_help("remove it, or use an agent that supports it"),
            );
        }
    }
}
