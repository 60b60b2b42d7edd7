//! Checks that the configuration delivers something.

use super::findings::Findings;
use crate::config::destination::Destination;
use crate::config::service::DestinationUse;
use crate::config::service_names::NamedService;
use crate::config::v2::Config;
use crate::diagnostic::{Code, Diagnostic, Target};
use crate::pointer::Pointer;

pub(super) fn check(config: &Config, services: &[NamedService<'_>], findings: &mut Findings<'_>) {
    if services.is_empty() {
        let keys = [("services", &config.services), ("outputs", &config.outputs)];
        let key = keys.into_iter().find(|(_, list)| list.is_some()).map(|(key, _)| key);
        let target = key.map_or(Target::File, |key| Target::Key(Pointer::root().key(key)));
        findings.report(
            Diagnostic::new(Code::NothingToDeliver, target, "there are no services, so nothing is delivered")
                .with_help("add an entry to `services`"),
        );
    }
    for named in services {
        let writes_files = matches!(named.service.service_type().destination, DestinationUse::Files(_));
        if writes_files && matches!(named.service.fields().destination(), Some(Destination::Memory(_))) {
            findings.report_value(
                Code::NothingToDeliver,
                named.pointer.key("destination").key("type"),
                "credentials in memory are lost when the agent exits, and no other program can read them",
                "use `type: directory` or `type: kubernetes_secret`",
            );
        }
    }
}
