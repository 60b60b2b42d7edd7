//! Checks the services for workload identity: selectors, attestors, AWS Roles Anywhere.

use super::findings::Findings;
use super::formats;
use crate::config::duration::GoDuration;
use crate::config::scalar::{Identifier, Location, OptionalString as _, Port, is_on};
use crate::config::service::{
    Attestors, AwsRolesAnywhereService, Kubelet, WorkloadIdentityJwtService, WorkloadIdentitySelector,
};
use crate::diagnostic::{Code, Diagnostic, Severity, Target};
use crate::pointer::Pointer;

/// The longest lifetime of an AWS session.
const MAX_SESSION_DURATION: GoDuration = GoDuration::from_secs(12 * 60 * 60);
const DEFAULT_SESSION_DURATION: GoDuration = GoDuration::from_secs(6 * 60 * 60);
const DEFAULT_SESSION_RENEWAL_INTERVAL: GoDuration = GoDuration::from_secs(60 * 60);

pub(super) fn check_selector(
    selector: &WorkloadIdentitySelector,
    pointer: &Pointer,
    findings: &mut Findings<'_>,
) {
    let pointer = pointer.key("selector");
    let has_name = selector.name.nonempty().is_some();
    let has_labels = selector.labels.as_ref().is_some_and(|labels| !labels.is_empty());
    findings.require_exactly_one(pointer.clone(), &[("name", has_name), ("labels", has_labels)]);
    if let Some(name) = &selector.name {
        findings.check_exact_name(
            &pointer,
            "name",
            name,
            "write the whole name, or `labels` that exactly one workload identity has",
        );
    }
    for (label, values) in selector.labels.iter().flatten() {
        if values.0.is_empty() {
            findings.report_value(
                Code::EmptyValue,
                pointer.key("labels").key(label),
                "a label without accepted values matches nothing",
                "write a list with at least one value",
            );
        }
    }
}

pub(super) fn check_jwt(jwt: &WorkloadIdentityJwtService, pointer: &Pointer, findings: &mut Findings<'_>) {
    check_selector(&jwt.selector, pointer, findings);
    if jwt.audiences.iter().all(Identifier::is_empty) {
        findings.report_value(
            Code::EmptyValue,
            pointer.key("audiences"),
            "a token requires at least one audience",
            "write `audiences: [<recipient of the token>]`",
        );
    }
}

pub(super) fn check_aws(aws: &AwsRolesAnywhereService, pointer: &Pointer, findings: &mut Findings<'_>) {
    check_selector(&aws.selector, pointer, findings);
    let arns = [
        ("role_arn", &aws.role_arn),
        ("profile_arn", &aws.profile_arn),
        ("trust_anchor_arn", &aws.trust_anchor_arn),
    ];
    for (key, arn) in arns {
        if arn.is_empty() {
            findings.require_nonempty(pointer, key, "");
        } else if !formats::is_arn(arn.as_str()) {
            findings.report_value(
                Code::InvalidArn,
                pointer.key(key),
                "not a valid Amazon resource name (ARN)",
                "write `arn:aws:<service>:<region>:<account>:<resource>`",
            );
        }
    }
    if let Some(region) = &aws.region
        && !region.is_empty()
        && !formats::is_aws_region(region.as_str())
    {
        findings.report_value(
            Code::InvalidArn,
            pointer.key("region"),
            "not a valid AWS region",
            "write a region such as `eu-central-1`",
        );
    }

    let or_default = |configured: Option<GoDuration>, default| {
        configured.filter(|duration| !duration.is_zero()).unwrap_or(default)
    };
    let duration = or_default(aws.session_duration, DEFAULT_SESSION_DURATION);
    let interval = or_default(aws.session_renewal_interval, DEFAULT_SESSION_RENEWAL_INTERVAL);
    let durations = [("session_duration", duration), ("session_renewal_interval", interval)];
    for (key, _) in durations.iter().filter(|(_, duration)| duration.is_negative()) {
        let message = format!("`{key}` cannot be negative");
        findings.report_value(Code::NegativeDuration, pointer.key(key), message, "write a positive duration");
    }
    if duration.is_negative() || interval.is_negative() {
        return;
    }
    let key = if aws.session_duration.is_some() { "session_duration" } else { "session_renewal_interval" };
    if duration > MAX_SESSION_DURATION {
        findings.report_value(
            Code::SessionTooLong,
            pointer.key("session_duration"),
            format!("an AWS session of {duration} exceeds the maximum of {MAX_SESSION_DURATION}"),
            "write at most `12h`",
        );
    }
    if interval >= duration {
        let message =
            format!("the AWS session expires after {duration}, but is renewed only every {interval}");
        let diagnostic = Diagnostic::new(Code::SessionTooLong, Target::Value(pointer.key(key)), message)
            .with_help(
                "set `session_renewal_interval` (default 1h) to less than `session_duration` (default 6h)",
            );
        let named = durations.into_iter().map(|(key, _)| pointer.key(key));
        findings.report(named.fold(diagnostic, Diagnostic::naming));
    }
}

pub(super) fn check_attestors(attestors: Option<&Attestors>, pointer: &Pointer, findings: &mut Findings<'_>) {
    let Some(attestors) = attestors else { return };
    let pointer = pointer.key("attestors");
    let blocks = [
        ("kubernetes", attestors.kubernetes.as_ref().map(|block| block.enabled)),
        ("docker", attestors.docker.as_ref().map(|block| block.enabled)),
        ("podman", attestors.podman.as_ref().map(|block| block.enabled)),
        ("sigstore", attestors.sigstore.as_ref().map(|block| block.enabled)),
        ("systemd", attestors.systemd.as_ref().map(|block| block.enabled)),
    ];
    for (name, enabled) in blocks {
        if enabled == Some(None) {
            let message = format!("the attestor `{name}` is not enabled, so this block has no effect");
            let diagnostic = Diagnostic::new(Code::UnusedBlock, Target::Key(pointer.key(name)), message);
            findings.report(
                diagnostic
                    .with_severity(Severity::Note)
                    .with_help("write `enabled: true` in it, or remove it"),
            );
        }
    }
    if let Some(kubernetes) = attestors.kubernetes.as_ref().filter(|block| is_on(block.enabled)) {
        check_kubelet(kubernetes.kubelet.as_ref(), &pointer.key("kubernetes").key("kubelet"), findings);
    }
    if let Some(docker) = attestors.docker.as_ref().filter(|block| is_on(block.enabled))
        && let Some(addr) = docker.addr.as_ref().filter(|addr| !addr.is_empty())
    {
        check_unix_socket(addr, pointer.key("docker").key("addr"), findings);
    }
    if let Some(podman) = attestors.podman.as_ref().filter(|block| is_on(block.enabled)) {
        match podman.addr.as_ref().filter(|addr| !addr.is_empty()) {
            Some(addr) => check_unix_socket(addr, pointer.key("podman").key("addr"), findings),
            None => findings.report_value(
                Code::EmptyValue,
                pointer.key("podman"),
                "an enabled Podman attestor requires `addr`",
                "write `addr: unix:///run/podman/podman.sock`",
            ),
        }
    }
    if let Some(sigstore) = attestors.sigstore.as_ref().filter(|block| is_on(block.enabled)) {
        let pointer = pointer.key("sigstore");
        for (index, registry) in sigstore.additional_registries.iter().flatten().enumerate() {
            let pointer = pointer.key("additional_registries").index(index);
            let help = "write `host: <name>` or `host: <name>:<port>`";
            match &registry.host {
                None => {
                    findings.report_value(Code::RequiresOther, pointer, "a registry requires `host`", help);
                }
                Some(host) if !formats::is_registry(host.as_str()) => findings.report_value(
                    Code::InvalidAddress,
                    pointer.key("host"),
                    "not a valid registry host",
                    help,
                ),
                Some(_) => {}
            }
        }
        for (index, network) in sigstore.allowed_private_network_prefixes.iter().flatten().enumerate() {
            if !formats::is_network(network.as_str()) {
                findings.report_value(
                    Code::InvalidAddress,
                    pointer.key("allowed_private_network_prefixes").index(index),
                    "not a valid network in CIDR notation",
                    "write a network such as `10.0.0.0/8`",
                );
            }
        }
    }
}

fn check_kubelet(kubelet: Option<&Kubelet>, pointer: &Pointer, findings: &mut Findings<'_>) {
    let Some(kubelet) = kubelet else { return };
    let is_set = |port: Option<Port>| port.is_some_and(|port| port.get() != 0);
    findings.exclude_both(
        pointer,
        ("read_only_port", "secure_port"),
        (is_set(kubelet.read_only_port), is_set(kubelet.secure_port)),
    );
}

fn check_unix_socket(addr: &Location, pointer: Pointer, findings: &mut Findings<'_>) {
    match addr.as_str().strip_prefix("unix://") {
        None => findings.report_value(
            Code::InvalidAddress,
            pointer,
            "not the address of a Unix socket",
            "write `unix:///<path>`, with three slashes",
        ),
        Some(path) if !path.starts_with('/') => findings.report_value(
            Code::InvalidAddress,
            pointer,
            "a slash is missing: the part after `unix://` is interpreted as a host",
            "write `unix:///<path>`, with three slashes",
        ),
        Some(_) => {}
    }
}
