//! What each type of service must say.

use super::{Findings, destinations, kubernetes, text, workload_identity};
use crate::config::{
    BeamsVnet, Database, DatabaseFormat, Destination, Identifier, Location, Service, SpiffeSvid,
    SpiffeWorkloadApi, SvidSans,
};
use crate::diagnostic::{Code, Diagnostic, Severity, Target};
use crate::pointer::Pointer;

pub(super) fn check(service: &Service, place: &Pointer, findings: &mut Findings<'_>) {
    match service {
        Service::Identity(_) => {}
        Service::KeyAgent(agent) => {
            directory_only(&agent.destination, service, place, findings);
            exclude_roles(agent.delegation_session_id.as_ref(), service, place, findings);
        }
        Service::Application(application) => {
            findings.not_empty(place, "app_name", application.app_name.as_str());
        }
        Service::ApplicationTunnel(tunnel) => {
            listen(&tunnel.listen, place, findings);
            findings.not_empty(place, "app_name", tunnel.app_name.as_str());
        }
        Service::ApplicationProxy(proxy) => listen(&proxy.listen, place, findings),
        Service::Database(database) => check_database(database, place, findings),
        Service::DatabaseTunnel(tunnel) => {
            listen(&tunnel.listen, place, findings);
            findings.not_empty(place, "service", tunnel.service.as_str());
            findings.not_empty(place, "database", tunnel.database.as_str());
            findings.not_empty(place, "username", tunnel.username.as_str());
        }
        Service::Kubernetes(kubernetes) => {
            findings.not_empty(place, "kubernetes_cluster", kubernetes.kubernetes_cluster.as_str());
            exclude_roles(kubernetes.delegation_session_id.as_ref(), service, place, findings);
        }
        Service::KubernetesV2(kubernetes) => kubernetes::check_v2(kubernetes, place, findings),
        Service::KubernetesArgoCd(argo) => kubernetes::check_argo_cd(argo, place, findings),
        Service::SshHost(host) => {
            if host.principals.iter().all(|principal| principal.is_empty()) {
                findings.at(
                    Code::EmptyValue,
                    place.key("principals"),
                    "a host certificate needs at least one principal",
                    "write the host's names: `principals: [<host name>]`",
                );
            }
        }
        Service::SshMultiplexer(multiplexer) => {
            directory_only(&multiplexer.destination, service, place, findings);
        }
        Service::WorkloadIdentityX509(x509) => workload_identity::selector(&x509.selector, place, findings),
        Service::WorkloadIdentityJwt(jwt) => workload_identity::check_jwt(jwt, place, findings),
        Service::WorkloadIdentityApi(api) => {
            listen(&api.listen, place, findings);
            workload_identity::selector(&api.selector, place, findings);
            workload_identity::attestors(api.attestors.as_ref(), place, findings);
        }
        Service::WorkloadIdentityAwsRolesAnywhere(aws) => workload_identity::check_aws(aws, place, findings),
        Service::BeamsVnet(vnet) => check_vnet(vnet, place, findings),
        Service::SpiffeSvid(svid) => check_svid(svid, place, findings),
        Service::SpiffeWorkloadApi(api) => check_workload_api(api, place, findings),
    }
    if let Some(destination) = service.fields().destination() {
        destinations::check(destination, &place.key("destination"), findings);
    }
    superseded(service, place, findings);
}

/// Types that need a running agent.
pub(super) fn check_oneshot(service: &Service, place: &Pointer, findings: &mut Findings<'_>) {
    let lasting = matches!(
        service,
        Service::ApplicationTunnel(_)
            | Service::ApplicationProxy(_)
            | Service::DatabaseTunnel(_)
            | Service::SshMultiplexer(_)
            | Service::KeyAgent(_)
            | Service::WorkloadIdentityApi(_)
            | Service::SpiffeWorkloadApi(_)
            | Service::BeamsVnet(_)
    );
    if lasting {
        findings.at(
            Code::NotInOneshot,
            place.key("type"),
            format!("`{}` does nothing in one-shot mode", service.type_name()),
            "remove it, or `oneshot: true`",
        );
    }
}

fn listen(address: &Location, place: &Pointer, findings: &mut Findings<'_>) {
    if address.is_empty() {
        findings.not_empty(place, "listen", "");
    } else if !text::is_url(address.as_str()) {
        findings.at(
            Code::InvalidAddress,
            place.key("listen"),
            "not a URL to listen at",
            "write `tcp://<ip>:<port>` or `unix:///<path>`",
        );
    } else if !["tcp://", "unix://"].iter().any(|scheme| address.as_str().starts_with(scheme)) {
        // The Go agent loads it, and fails when it listens.
        findings.report(
            Diagnostic::new(
                Code::InvalidAddress,
                Target::Value(place.key("listen")),
                "only a TCP address or a Unix socket can be listened at",
            )
            .with_severity(Severity::Warning)
            .with_help("write `tcp://<ip>:<port>` or `unix:///<path>`"),
        );
    }
}

fn directory_only(
    destination: &Destination,
    service: &Service,
    place: &Pointer,
    findings: &mut Findings<'_>,
) {
    match destination {
        // For these two `check` below does not see it: it is no destination of files.
        Destination::Directory(_) => destinations::check(destination, &place.key("destination"), findings),
        other => findings.at(
            Code::UnsupportedDestination,
            place.key("destination").key("type"),
            format!("`{}` cannot write to `{}`", service.type_name(), other.type_name()),
            "write `type: directory`",
        ),
    }
}

fn exclude_roles(
    session: Option<&Identifier>,
    service: &Service,
    place: &Pointer,
    findings: &mut Findings<'_>,
) {
    let roles = !service.fields().roles().is_empty();
    let session = session.is_some_and(|session| !session.is_empty());
    findings.exclusive(place, ("roles", "delegation_session_id"), (roles, session));
}

/// Types and properties that have a successor.
fn superseded(service: &Service, place: &Pointer, findings: &mut Findings<'_>) {
    if !service.fields().roles().is_empty() {
        findings.deprecated(
            Target::Key(place.key("roles")),
            "newer servers do not let a service take fewer roles than its bot",
            "give the bot only these roles, and remove `roles`",
        );
    }
    if service.fields().has_certificate_ttl() {
        findings.deprecated(
            Target::Key(place.key("certificate_ttl")),
            "`certificate_ttl` is another spelling of `credential_ttl`",
            "write `credential_ttl`",
        );
    }
    let successor = match service {
        Service::SpiffeSvid(_) => "write `workload-identity-x509`, or `workload-identity-jwt` for its `jwts`",
        Service::SpiffeWorkloadApi(_) => "write `workload-identity-api`",
        _ => return,
    };
    let what = format!("newer agents do not have `{}`", service.type_name());
    findings.deprecated(Target::Value(place.key("type")), &what, successor);
}

fn check_database(database: &Database, place: &Pointer, findings: &mut Findings<'_>) {
    findings.not_empty(place, "service", database.service.as_str());
    if database.format == Some(DatabaseFormat::Cockroach)
        && matches!(database.destination, Destination::KubernetesSecret(_))
    {
        findings.at(
            Code::UnsupportedDestination,
            place.key("format"),
            "`format: cockroach` writes into a folder of its own, which a Kubernetes Secret does not have",
            "write `type: directory`, or another `format`",
        );
    }
}

fn check_vnet(vnet: &BeamsVnet, place: &Pointer, findings: &mut Findings<'_>) {
    findings.not_empty(place, "delegation_session_id", vnet.delegation_session_id.as_str());
    for (index, server) in vnet.upstream_nameservers.iter().flatten().enumerate() {
        if !text::is_socket_address(server.as_str()) {
            findings.at(
                Code::InvalidAddress,
                place.key("upstream_nameservers").index(index),
                "a name server is not of the form `ip:port`",
                "write an address and a port, not a name: `192.0.2.53:53`",
            );
        }
    }
}

fn check_svid(service: &SpiffeSvid, place: &Pointer, findings: &mut Findings<'_>) {
    let svid_place = place.key("svid");
    svid_path(service.svid.path.as_str(), &svid_place, findings);
    sans(service.svid.sans.as_ref(), &svid_place, findings);
    let nested = [(&service.svid.jwts, svid_place), (&service.jwts, place.clone())];
    for (jwts, place) in nested {
        for (index, jwt) in jwts.iter().flatten().enumerate() {
            let place = place.key("jwts").index(index);
            findings.not_empty(&place, "audience", jwt.audience.as_str());
            findings.not_empty(&place, "file_name", jwt.file_name.as_str());
        }
    }
    if service.svid.jwts.is_some() {
        findings.deprecated(
            Target::Key(place.key("svid").key("jwts")),
            "`jwts` stands beside `svid`, not in it",
            "move it one level up",
        );
    }
}

fn check_workload_api(api: &SpiffeWorkloadApi, place: &Pointer, findings: &mut Findings<'_>) {
    listen(&api.listen, place, findings);
    if api.svids.is_empty() {
        findings.at(Code::EmptyValue, place.key("svids"), "`svids` is empty", "write at least one SVID");
    }
    for (index, svid) in api.svids.iter().enumerate() {
        let place = place.key("svids").index(index);
        svid_path(svid.path.as_str(), &place, findings);
        sans(svid.sans.as_ref(), &place, findings);
    }
    workload_identity::attestors(api.attestors.as_ref(), place, findings);
}

fn svid_path(path: &str, place: &Pointer, findings: &mut Findings<'_>) {
    if path.is_empty() {
        findings.not_empty(place, "path", path);
    } else if !path.starts_with('/') {
        findings.at(
            Code::InvalidAddress,
            place.key("path"),
            "an SVID's path begins with `/`",
            "write the `/`",
        );
    }
}

fn sans(sans: Option<&SvidSans>, place: &Pointer, findings: &mut Findings<'_>) {
    for (index, ip) in sans.iter().flat_map(|sans| sans.ip.iter().flatten()).enumerate() {
        if ip.as_str().parse::<std::net::IpAddr>().is_err() {
            findings.at(
                Code::InvalidAddress,
                place.key("sans").key("ip").index(index),
                "not an IP address",
                "write names under `dns`",
            );
        }
    }
}
