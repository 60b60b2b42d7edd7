//! How long credentials live and how often they are renewed.

use super::Findings;
use crate::config::{Config, GoDuration, Service};
use crate::diagnostic::{Code, Diagnostic, Severity, Target};
use crate::pointer::Pointer;

/// The longest that a cluster lets credentials live.
const LONGEST: GoDuration = GoDuration::from_secs(24 * 60 * 60);

pub(super) fn check_top_level(config: &Config, findings: &mut Findings<'_>) {
    let root = Pointer::root();
    if config.certificate_ttl.is_some() {
        let unused = config.credential_ttl.is_some_and(|ttl| !ttl.is_zero());
        let what = if unused {
            "`certificate_ttl` is another spelling of `credential_ttl`, which is there, too, and wins"
        } else {
            "`certificate_ttl` is another spelling of `credential_ttl`"
        };
        findings.deprecated(Target::Key(root.key("certificate_ttl")), what, "write `credential_ttl`");
    }
    let ttl_key =
        if config.credential_ttl.is_some_and(|ttl| !ttl.is_zero()) || config.certificate_ttl.is_none() {
            "credential_ttl"
        } else {
            "certificate_ttl"
        };
    let lifetime = Resolved {
        ttl: (config.credential_ttl(), root.key(ttl_key)),
        interval: (config.renewal_interval(), root.key("renewal_interval")),
        oneshot: config.is_oneshot(),
        long: false,
    };
    // The defaults fit each other, so where something does not fit, one of the two is in the file.
    lifetime.check(
        Severity::Warning,
        config.credential_ttl.is_some() || config.certificate_ttl.is_some(),
        findings,
    );
}

pub(super) fn check_service(
    config: &Config,
    service: &Service,
    place: &Pointer,
    findings: &mut Findings<'_>,
) {
    let lifetime = service.fields().lifetime();
    let ttl_key = service.fields().ttl_key();
    let place = match service {
        Service::ApplicationProxy(_) => place.key("credential_lifetime"),
        _ => place.clone(),
    };
    let ttl = lifetime.credential_ttl.filter(|ttl| !ttl.is_zero());
    let interval = lifetime.renewal_interval.filter(|interval| !interval.is_zero());
    match (ttl, interval) {
        (None, None) => {}
        (Some(ttl), Some(interval)) => {
            let long = matches!(
                service,
                Service::WorkloadIdentityX509(_)
                    | Service::WorkloadIdentityJwt(_)
                    | Service::WorkloadIdentityApi(_)
            );
            let lifetime = Resolved {
                ttl: (ttl, place.key(ttl_key)),
                interval: (interval, place.key("renewal_interval")),
                oneshot: config.is_oneshot(),
                long,
            };
            lifetime.check(Severity::Error, true, findings);
        }
        (Some(_), None) => incomplete(&place, ttl_key, "renewal_interval", findings),
        (None, Some(_)) => incomplete(&place, "renewal_interval", "credential_ttl", findings),
    }
}

fn incomplete(place: &Pointer, there: &str, missing: &str, findings: &mut Findings<'_>) {
    findings.report(
        Diagnostic::new(
            Code::IncompleteLifetime,
            Target::Key(place.key(there)),
            format!("`{there}` is there without `{missing}`"),
        )
        .with_help("write both, or neither to take those of the top level"),
    );
}

struct Resolved {
    ttl: (GoDuration, Pointer),
    interval: (GoDuration, Pointer),
    oneshot: bool,
    /// Whether the cluster lets these credentials live longer than others.
    long: bool,
}

impl Resolved {
    fn check(self, severity: Severity, ttl_is_written: bool, findings: &mut Findings<'_>) {
        let (ttl, ttl_place) = self.ttl;
        let (interval, interval_place) = self.interval;
        let mut negative = false;
        for (duration, place, what) in [
            (ttl, &ttl_place, "credentials cannot live"),
            (interval, &interval_place, "credentials cannot be renewed after"),
        ] {
            if duration.is_negative() {
                negative = true;
                let message = format!("{what} a negative time");
                findings.at(Code::NegativeDuration, place.clone(), message, "write a positive duration");
            }
        }
        if negative {
            return;
        }
        if ttl < interval && !self.oneshot {
            let place = if ttl_is_written { ttl_place.clone() } else { interval_place };
            let message = format!("credentials live {ttl}, but are renewed only every {interval}");
            findings.report(
                Diagnostic::new(Code::TtlBelowInterval, Target::Value(place), message)
                    .with_severity(severity)
                    .with_help("write a `renewal_interval` of at most half the `credential_ttl`"),
            );
        }
        if ttl > LONGEST && !self.long {
            let message = format!("credentials would live {ttl}; the cluster allows {LONGEST}");
            findings.report(
                Diagnostic::new(Code::TtlTooLong, Target::Value(ttl_place), message)
                    .with_severity(severity)
                    .with_help("write at most `24h`"),
            );
        }
    }
}
