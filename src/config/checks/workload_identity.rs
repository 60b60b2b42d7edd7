//! Workload identity: selectors, attestors, AWS Roles Anywhere.

use super::{Findings, text};
use crate::config::{
    Attestors, GoDuration, Identifier, Kubelet, Location, Port, WorkloadIdentityAwsRolesAnywhere,
    WorkloadIdentityJwt, WorkloadIdentitySelector, is_on,
};
use crate::diagnostic::Code;
use crate::pointer::Pointer;

/// The longest AWS session.
const LONGEST_SESSION: GoDuration = GoDuration::from_secs(12 * 60 * 60);
const DEFAULT_SESSION: GoDuration = GoDuration::from_secs(6 * 60 * 60);
const DEFAULT_SESSION_RENEWAL: GoDuration = GoDuration::from_secs(60 * 60);

pub(super) fn selector(selector: &WorkloadIdentitySelector, place: &Pointer, findings: &mut Findings<'_>) {
    let place = place.key("selector");
    let name = selector.name.as_ref().is_some_and(|name| !name.is_empty());
    let labels = selector.labels.as_ref().is_some_and(|labels| !labels.is_empty());
    findings.exactly_one(&place, ("name", "labels"), (name, labels));
    for (label, values) in selector.labels.iter().flatten() {
        if values.0.is_empty() {
            findings.at(
                Code::EmptyValue,
                place.key("labels").key(label),
                "a label without an accepted value selects nothing",
                "write a list with at least one value",
            );
        }
    }
}

pub(super) fn check_jwt(jwt: &WorkloadIdentityJwt, place: &Pointer, findings: &mut Findings<'_>) {
    selector(&jwt.selector, place, findings);
    if jwt.audiences.iter().all(Identifier::is_empty) {
        findings.at(
            Code::EmptyValue,
            place.key("audiences"),
            "a token needs at least one audience",
            "write `audiences: [<who the token is for>]`",
        );
    }
}

pub(super) fn check_aws(
    aws: &WorkloadIdentityAwsRolesAnywhere,
    place: &Pointer,
    findings: &mut Findings<'_>,
) {
    selector(&aws.selector, place, findings);
    let arns = [
        ("role_arn", &aws.role_arn),
        ("profile_arn", &aws.profile_arn),
        ("trust_anchor_arn", &aws.trust_anchor_arn),
    ];
    for (key, arn) in arns {
        if arn.is_empty() {
            findings.not_empty(place, key, "");
        } else if !text::is_arn(arn.as_str()) {
            findings.at(
                Code::InvalidArn,
                place.key(key),
                "not an Amazon resource name",
                "write `arn:aws:<service>:<region>:<account>:<resource>`",
            );
        }
    }
    if let Some(region) = &aws.region
        && !region.is_empty()
        && !text::is_aws_region(region.as_str())
    {
        findings.at(Code::InvalidArn, place.key("region"), "not an AWS region", "such as `eu-central-1`");
    }

    let set =
        |duration: Option<GoDuration>, default| duration.filter(|set| !set.is_zero()).unwrap_or(default);
    let duration = set(aws.session_duration, DEFAULT_SESSION);
    let interval = set(aws.session_renewal_interval, DEFAULT_SESSION_RENEWAL);
    let written = [("session_duration", duration), ("session_renewal_interval", interval)];
    let negative: Vec<_> = written.into_iter().filter(|(_, duration)| duration.is_negative()).collect();
    for (key, _) in &negative {
        let message = "an AWS session cannot live, or be renewed after, a negative time";
        findings.at(Code::NegativeDuration, place.key(key), message, "write a positive duration");
    }
    if !negative.is_empty() {
        return;
    }
    let at = if aws.session_duration.is_some() { "session_duration" } else { "session_renewal_interval" };
    if duration > LONGEST_SESSION {
        findings.at(
            Code::SessionTooLong,
            place.key("session_duration"),
            format!("an AWS session lives at most 12h, not {duration}"),
            "write at most `12h`",
        );
    }
    if interval >= duration {
        findings.at(
            Code::SessionTooLong,
            place.key(at),
            format!("an AWS session lives {duration}, but is renewed only every {interval}"),
            "write a `session_renewal_interval` below the `session_duration`; unset, they are 1h and 6h",
        );
    }
}

pub(super) fn attestors(attestors: Option<&Attestors>, place: &Pointer, findings: &mut Findings<'_>) {
    let Some(attestors) = attestors else { return };
    let place = place.key("attestors");
    if let Some(kubernetes) = attestors.kubernetes.as_ref().filter(|block| is_on(block.enabled)) {
        check_kubelet(kubernetes.kubelet.as_ref(), &place.key("kubernetes").key("kubelet"), findings);
    }
    if let Some(docker) = attestors.docker.as_ref().filter(|block| is_on(block.enabled))
        && let Some(addr) = docker.addr.as_ref().filter(|addr| !addr.is_empty())
    {
        socket(addr, place.key("docker").key("addr"), findings);
    }
    if let Some(podman) = attestors.podman.as_ref().filter(|block| is_on(block.enabled)) {
        match podman.addr.as_ref().filter(|addr| !addr.is_empty()) {
            Some(addr) => socket(addr, place.key("podman").key("addr"), findings),
            None => findings.at(
                Code::EmptyValue,
                place.key("podman"),
                "the address of Podman's socket is missing",
                "write `addr: unix:///run/podman/podman.sock`",
            ),
        }
    }
    if let Some(sigstore) = attestors.sigstore.as_ref().filter(|block| is_on(block.enabled)) {
        let place = place.key("sigstore");
        for (index, registry) in sigstore.additional_registries.iter().flatten().enumerate() {
            if !registry.host.as_ref().is_some_and(|host| text::is_registry(host.as_str())) {
                findings.at(
                    Code::InvalidAddress,
                    place.key("additional_registries").index(index),
                    "not a registry's host",
                    "write `host: <name>`, with `:<port>` where it has one",
                );
            }
        }
        for (index, network) in sigstore.allowed_private_network_prefixes.iter().flatten().enumerate() {
            if !text::is_network(network.as_str()) {
                findings.at(
                    Code::InvalidAddress,
                    place.key("allowed_private_network_prefixes").index(index),
                    "not a network in CIDR notation",
                    "such as `10.0.0.0/8`",
                );
            }
        }
    }
}

fn check_kubelet(kubelet: Option<&Kubelet>, place: &Pointer, findings: &mut Findings<'_>) {
    let Some(kubelet) = kubelet else { return };
    let set = |port: Option<Port>| port.is_some_and(|port| port.get() != 0);
    findings.exclusive(
        place,
        ("read_only_port", "secure_port"),
        (set(kubelet.read_only_port), set(kubelet.secure_port)),
    );
}

fn socket(addr: &Location, place: Pointer, findings: &mut Findings<'_>) {
    match addr.as_str().strip_prefix("unix://") {
        None => findings.at(
            Code::InvalidAddress,
            place,
            "only a Unix socket will do",
            "write `unix:///<path>`, with three slashes",
        ),
        Some(path) if !path.starts_with('/') => findings.at(
            Code::InvalidAddress,
            place,
            "a slash is missing: what follows `unix://` is taken for a host",
            "write `unix:///<path>`, with three slashes",
        ),
        Some(_) => {}
    }
}
