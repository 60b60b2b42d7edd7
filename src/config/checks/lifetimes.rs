//! Checks the lifetime of credentials and the time between renewals.

use super::findings::Findings;
use crate::config::duration::GoDuration;
use crate::config::service::Service;
use crate::config::v2::Config;
use crate::diagnostic::{Code, Diagnostic, Severity, Target};
use crate::pointer::Pointer;

/// The longest lifetime that clusters allow since Teleport 17.5.
const MAX_TTL: GoDuration = GoDuration::from_secs(7 * 24 * 60 * 60);
/// The longest lifetime that older clusters allow.
const OLD_MAX_TTL: GoDuration = GoDuration::from_secs(24 * 60 * 60);
/// Shorter intervals only put load on the cluster.
const MIN_INTERVAL: GoDuration = GoDuration::from_secs(10);

pub(super) fn check_top_level(config: &Config, findings: &mut Findings<'_>) {
    let root = Pointer::root();
    if config.certificate_ttl.is_some() {
        let is_ignored = config.credential_ttl.is_some_and(|ttl| !ttl.is_zero());
        let (message, help) = if is_ignored {
            (
                "`certificate_ttl` is ignored because `credential_ttl`, its new name, is set",
                "remove it, unless an agent older than Teleport 17 also reads the file",
            )
        } else {
            (
                "`certificate_ttl` is the old name of `credential_ttl`",
                "use `credential_ttl`, unless an agent older than Teleport 17 also reads the file",
            )
        };
        findings.deprecated(Target::Key(root.key("certificate_ttl")), message, help);
    }
    let ttl_key =
        if config.credential_ttl.is_some_and(|ttl| !ttl.is_zero()) || config.certificate_ttl.is_none() {
            "credential_ttl"
        } else {
            "certificate_ttl"
        };
    let lifetime = EffectiveLifetime {
        ttl: (config.credential_ttl(), root.key(ttl_key)),
        interval: (config.renewal_interval(), root.key("renewal_interval")),
        // The defaults are consistent, so if a check fails, the file sets at least one of the two.
        ttl_is_set: config.credential_ttl.is_some() || config.certificate_ttl.is_some(),
        oneshot: config.is_oneshot(),
        may_exceed_max: false,
    };
    lifetime.check(Severity::Warning, findings);
}

pub(super) fn check_service(
    config: &Config,
    service: &Service,
    service_pointer: &Pointer,
    findings: &mut Findings<'_>,
) {
    let lifetime = service.fields().lifetime();
    let ttl_key = service.fields().ttl_key();
    let pointer = || {
        let key = service.fields().lifetime_key();
        key.map_or_else(|| service_pointer.clone(), |key| service_pointer.key(key))
    };
    let ttl = lifetime.credential_ttl.filter(|ttl| !ttl.is_zero());
    let interval = lifetime.renewal_interval.filter(|interval| !interval.is_zero());
    match (ttl, interval) {
        (None, None) => {}
        (Some(ttl), Some(interval)) => {
            let pointer = pointer();
            let lifetime = EffectiveLifetime {
                ttl: (ttl, pointer.key(ttl_key)),
                interval: (interval, pointer.key("renewal_interval")),
                ttl_is_set: true,
                oneshot: config.is_oneshot(),
                may_exceed_max: service.service_type().long_lived,
            };
            lifetime.check(Severity::Error, findings);
        }
        (Some(_), None) => report_incomplete(&pointer(), ttl_key, "renewal_interval", findings),
        (None, Some(_)) => report_incomplete(&pointer(), "renewal_interval", "credential_ttl", findings),
    }
    if let Service::WorkloadIdentityAwsRolesAnywhere(aws) = service
        && let Some(interval) = aws.session_renewal_interval
        && !interval.is_zero()
        && !interval.is_negative()
        && !config.is_oneshot()
    {
        check_interval(interval, &service_pointer.key("session_renewal_interval"), findings);
    }
}

fn report_incomplete(pointer: &Pointer, present: &str, missing: &str, findings: &mut Findings<'_>) {
    findings.report(
        Diagnostic::new(
            Code::IncompleteLifetime,
            Target::Key(pointer.key(present)),
            format!("`{present}` is set without `{missing}`"),
        )
        .with_help("set both, or neither to use the top-level values")
        .naming(pointer.key(missing)),
    );
}

/// Reports an interval between renewals that is too short to be intended.
fn check_interval(interval: GoDuration, pointer: &Pointer, findings: &mut Findings<'_>) {
    if interval < MIN_INTERVAL {
        findings.report_value(
            Code::IntervalTooShort,
            pointer.clone(),
            format!("renewing every {interval} puts load on the cluster without any benefit"),
            format!("write at least `{MIN_INTERVAL}`, such as `20m`"),
        );
    }
}

/// A lifetime and a renewal interval, each with its pointer.
struct EffectiveLifetime {
    ttl: (GoDuration, Pointer),
    interval: (GoDuration, Pointer),
    /// Whether the file sets the lifetime. A finding about both values then refers to it.
    ttl_is_set: bool,
    oneshot: bool,
    /// Whether clusters of all versions allow these credentials to live longer than [`OLD_MAX_TTL`], even than
    /// [`MAX_TTL`].
    may_exceed_max: bool,
}

impl EffectiveLifetime {
    fn check(self, severity: Severity, findings: &mut Findings<'_>) {
        let (ttl, ttl_pointer) = self.ttl;
        let (interval, interval_pointer) = self.interval;
        for (duration, pointer, what) in [
            (ttl, &ttl_pointer, "the lifetime of credentials"),
            (interval, &interval_pointer, "the renewal interval"),
        ] {
            if duration.is_negative() {
                let message = format!("{what} cannot be negative");
                findings.report_value(
                    Code::NegativeDuration,
                    pointer.clone(),
                    message,
                    "write a positive duration",
                );
            }
        }
        if ttl.is_negative() || interval.is_negative() {
            return;
        }
        if !self.oneshot {
            check_interval(interval, &interval_pointer, findings);
        }
        if ttl <= interval && !self.oneshot {
            let pointer = if self.ttl_is_set { &ttl_pointer } else { &interval_pointer }.clone();
            let message = format!("credentials expire after {ttl}, but are renewed only every {interval}");
            // The Go agent accepts equal values, although the credentials expire before their renewal has ended.
            let severity = if ttl == interval { Severity::Warning } else { severity };
            findings.report(
                Diagnostic::new(Code::TtlBelowInterval, Target::Value(pointer), message)
                    .with_severity(severity)
                    .with_help("set `renewal_interval` to at most half of `credential_ttl`")
                    .naming(ttl_pointer.clone())
                    .naming(interval_pointer.clone()),
            );
        }
        if self.may_exceed_max {
            return;
        }
        let (message, severity, help) = if ttl > MAX_TTL {
            let message = format!("a lifetime of {ttl} exceeds the maximum of {MAX_TTL} that clusters allow");
            (message, severity, "write at most `168h`")
        } else if ttl > OLD_MAX_TTL {
            let message =
                format!("clusters older than Teleport 17.5 shorten a lifetime of {ttl} to {OLD_MAX_TTL}");
            // Older Go agents refuse it in a service, and only log a warning about the top level.
            let help = match severity {
                Severity::Error => {
                    "if the cluster, or another agent that reads the file, is older, write at most `24h`"
                }
                _ => "if the cluster is older, write at most `24h`",
            };
            (message, Severity::Note, help)
        } else {
            return;
        };
        findings.report(
            Diagnostic::new(Code::TtlTooLong, Target::Value(ttl_pointer), message)
                .with_severity(severity)
                .with_help(help),
        );
    }
}
