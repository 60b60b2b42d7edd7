//! Checks each service according to its type.

use super::findings::Findings;
use super::{destinations, formats, kubernetes, workload_identity};
use crate::config::destination::Destination;
use crate::config::listen_uri::ListenUri;
use crate::config::scalar::{Identifier, Location, OptionalString as _};
use crate::config::service::{
    BeamsVnetService, DatabaseFormat, DatabaseService, DestinationUse, ListenerClients, Service,
    SpiffeSvidService, SpiffeWorkloadApiService, SvidSans,
};
use crate::diagnostic::{Code, Diagnostic, Target};
use crate::pointer::Pointer;

pub(super) fn check(service: &Service, pointer: &Pointer, findings: &mut Findings<'_>) {
    match service {
        Service::Identity(_) | Service::SshMultiplexer(_) | Service::ApplicationProxy(_) => {}
        Service::KeyAgent(agent) => {
            exclude_roles_and_session(agent.delegation_session_id.as_ref(), service, pointer, findings);
        }
        Service::Application(application) => {
            check_app_name(&application.app_name, pointer, findings);
        }
        Service::ApplicationTunnel(tunnel) => {
            check_app_name(&tunnel.app_name, pointer, findings);
        }
        Service::Database(database) => check_database(database, pointer, findings),
        Service::DatabaseTunnel(tunnel) => {
            check_database_service(&tunnel.service, pointer, findings);
            findings.require_nonempty(pointer, "database", tunnel.database.as_str());
            findings.require_nonempty(pointer, "username", tunnel.username.as_str());
        }
        Service::Kubernetes(kubernetes) => {
            let cluster = &kubernetes.kubernetes_cluster;
            findings.require_nonempty(pointer, "kubernetes_cluster", cluster.as_str());
            let help = "write the whole name; only `kubernetes/v2` selects clusters by labels";
            findings.check_exact_name(pointer, "kubernetes_cluster", cluster, help);
            exclude_roles_and_session(kubernetes.delegation_session_id.as_ref(), service, pointer, findings);
        }
        Service::KubernetesV2(kubernetes) => kubernetes::check_v2(kubernetes, pointer, findings),
        Service::KubernetesArgoCd(argo) => kubernetes::check_argo_cd(argo, pointer, findings),
        Service::SshHost(host) => {
            if host.principals.iter().all(|principal| principal.is_empty()) {
                findings.report_value(
                    Code::EmptyValue,
                    pointer.key("principals"),
                    "a host certificate requires at least one principal",
                    "write the names of the host: `principals: [<host name>]`",
                );
            }
        }
        Service::WorkloadIdentityX509(x509) => {
            workload_identity::check_selector(&x509.selector, pointer, findings);
        }
        Service::WorkloadIdentityJwt(jwt) => workload_identity::check_jwt(jwt, pointer, findings),
        Service::WorkloadIdentityApi(api) => {
            workload_identity::check_selector(&api.selector, pointer, findings);
            workload_identity::check_attestors(api.attestors.as_ref(), pointer, findings);
        }
        Service::WorkloadIdentityAwsRolesAnywhere(aws) => {
            workload_identity::check_aws(aws, pointer, findings);
        }
        Service::BeamsVnet(vnet) => check_vnet(vnet, pointer, findings),
        Service::SpiffeSvid(svid) => check_svid(svid, pointer, findings),
        Service::SpiffeWorkloadApi(api) => check_workload_api(api, pointer, findings),
    }
    if let Some(listen) = service.listen() {
        check_listen(listen, pointer, findings);
    }
    if let Some(destination) = service.fields().destination() {
        check_destination(destination, service, pointer, findings);
    }
    check_deprecated(service, pointer, findings);
}

/// Reports service types that have no effect in oneshot mode.
pub(super) fn check_oneshot(service: &Service, pointer: &Pointer, findings: &mut Findings<'_>) {
    if !service.service_type().oneshot {
        let message = format!("`{}` has no effect in oneshot mode", service.type_name());
        findings.report(
            Diagnostic::new(Code::NotInOneshot, Target::Value(pointer.key("type")), message)
                .with_help("remove it, or remove `oneshot: true`")
                .naming(Pointer::root().key("oneshot")),
        );
    }
}

fn check_listen(address: &Location, pointer: &Pointer, findings: &mut Findings<'_>) {
    if address.is_empty() {
        findings.require_nonempty(pointer, "listen", "");
    } else if let Err(error) = address.as_str().parse::<ListenUri>() {
        findings.report_value(Code::InvalidAddress, pointer.key("listen"), error.to_string(), error.help());
    }
}

/// Returns the address on which a service listens for clients that act as the bot.
fn address_for_bot_clients(service: &Service) -> Option<&str> {
    let act_as_bot = service.service_type().listener == Some(ListenerClients::ActAsBot);
    service.listen().filter(|_| act_as_bot).map(Location::as_str)
}

/// Reports a TCP address without a host, which the Go agent reads differently.
pub(super) fn check_listen_host(service: &Service, pointer: &Pointer, findings: &mut Findings<'_>) {
    let Some(address) = address_for_bot_clients(service) else { return };
    if ListenUri::has_default_host(address)
        && let Ok(ListenUri::Tcp(parsed)) = address.parse()
    {
        let port = parsed.port();
        findings.report_value(
            Code::AddressWithoutHost,
            pointer.key("listen"),
            "without a host, this listens on 127.0.0.1 only; Teleport's own agent listens on all addresses",
            format!(
                "write `tcp://127.0.0.1:{port}`, or `tcp://0.0.0.0:{port}` to let other machines connect"
            ),
        );
    }
}

/// Reports a service whose clients act as the bot, if others than local ones can connect.
pub(super) fn check_exposure(service: &Service, pointer: &Pointer, findings: &mut Findings<'_>) {
    let Some(address) = address_for_bot_clients(service) else { return };
    if address.parse::<ListenUri>().is_ok_and(|uri| !uri.is_local()) {
        findings.report_value(
            Code::ExposedListener,
            pointer.key("listen"),
            "everyone who can connect to this address acts as the bot, from other machines as well",
            "write `tcp://127.0.0.1:<port>` or `unix:///<path>`, unless the network itself is restricted to trusted clients",
        );
    }
}

fn check_destination(
    destination: &Destination,
    service: &Service,
    pointer: &Pointer,
    findings: &mut Findings<'_>,
) {
    let needs_directory = matches!(service.service_type().destination, DestinationUse::Socket(_));
    if needs_directory && !matches!(destination, Destination::Directory(_)) {
        findings.report_value(
            Code::UnsupportedDestination,
            pointer.key("destination").key("type"),
            format!(
                "`{}` does not support a destination of type `{}`",
                service.type_name(),
                destination.type_name()
            ),
            "write `type: directory`",
        );
    } else {
        destinations::check(destination, &pointer.key("destination"), findings);
    }
}

fn exclude_roles_and_session(
    session: Option<&Identifier>,
    service: &Service,
    pointer: &Pointer,
    findings: &mut Findings<'_>,
) {
    let has_roles = !service.fields().roles().is_empty();
    let has_session = session.nonempty().is_some();
    findings.exclude_both(pointer, ("roles", "delegation_session_id"), (has_roles, has_session));
}

/// Reports deprecated types and properties.
fn check_deprecated(service: &Service, pointer: &Pointer, findings: &mut Findings<'_>) {
    if !service.fields().roles().is_empty() {
        findings.deprecated(
            Target::Key(pointer.key("roles")),
            "Teleport 19 and newer do not let a service request only some of the bot's roles",
            "remove `roles`, and give the bot only these roles",
        );
    }
    if service.fields().has_certificate_ttl() {
        let target = Target::Key(pointer.key("certificate_ttl"));
        if service.fields().has_credential_ttl() {
            let message = "`certificate_ttl` is ignored because `credential_ttl`, its new name, is set";
            findings.deprecated(target, message, "remove it");
        } else {
            findings.deprecated(
                target,
                "`certificate_ttl` is the old name of `credential_ttl`",
                "use `credential_ttl`, which agents support from Teleport 17 on; older agents support neither key in a service",
            );
        }
    }
    let Some(successor) = service.service_type().successor else { return };
    let message = format!("Teleport 19 and newer do not support `{}`", service.type_name());
    findings.deprecated(Target::Value(pointer.key("type")), &message, successor);
}

fn check_app_name(name: &Identifier, pointer: &Pointer, findings: &mut Findings<'_>) {
    findings.require_nonempty(pointer, "app_name", name.as_str());
    findings.check_exact_name(pointer, "app_name", name, "write the whole name");
}

fn check_database_service(name: &Identifier, pointer: &Pointer, findings: &mut Findings<'_>) {
    findings.require_nonempty(pointer, "service", name.as_str());
    findings.check_exact_name(pointer, "service", name, "write the whole name");
}

fn check_database(database: &DatabaseService, pointer: &Pointer, findings: &mut Findings<'_>) {
    check_database_service(&database.service, pointer, findings);
    if database.format == Some(DatabaseFormat::Cockroach)
        && matches!(database.destination, Destination::KubernetesSecret(_))
    {
        findings.report_value(
            Code::UnsupportedDestination,
            pointer.key("format"),
            "`format: cockroach` writes to a subdirectory, which a Kubernetes Secret cannot have",
            "use `type: directory`, or a different `format`",
        );
    }
}

fn check_vnet(vnet: &BeamsVnetService, pointer: &Pointer, findings: &mut Findings<'_>) {
    findings.require_nonempty(pointer, "delegation_session_id", vnet.delegation_session_id.as_str());
    for (index, server) in vnet.upstream_nameservers.iter().flatten().enumerate() {
        if !formats::is_socket_address(server.as_str()) {
            findings.report_value(
                Code::InvalidAddress,
                pointer.key("upstream_nameservers").index(index),
                "not a valid name server address",
                "write an IP address and a port, such as `192.0.2.53:53`",
            );
        }
    }
}

fn check_svid(service: &SpiffeSvidService, pointer: &Pointer, findings: &mut Findings<'_>) {
    let svid_pointer = pointer.key("svid");
    check_svid_path(service.svid.path.as_str(), &svid_pointer, findings);
    check_sans(service.svid.sans.as_ref(), &svid_pointer, findings);
    let nested = [(&service.svid.jwts, svid_pointer), (&service.jwts, pointer.clone())];
    for (jwts, pointer) in nested {
        for (index, jwt) in jwts.iter().flatten().enumerate() {
            let pointer = pointer.key("jwts").index(index);
            findings.require_nonempty(&pointer, "audience", jwt.audience.as_str());
            findings.require_nonempty(&pointer, "file_name", jwt.file_name.as_str());
        }
    }
    if service.svid.jwts.is_some() {
        findings.deprecated(
            Target::Key(pointer.key("svid").key("jwts")),
            "`jwts` belongs to the service, not to `svid`",
            "move it up one level, next to `svid`, where Teleport's own agent reads it",
        );
    }
}

fn check_workload_api(api: &SpiffeWorkloadApiService, pointer: &Pointer, findings: &mut Findings<'_>) {
    if api.svids.is_empty() {
        findings.report_value(
            Code::EmptyValue,
            pointer.key("svids"),
            "`svids` is empty",
            "write at least one SVID",
        );
    }
    for (index, svid) in api.svids.iter().enumerate() {
        let pointer = pointer.key("svids").index(index);
        check_svid_path(svid.path.as_str(), &pointer, findings);
        check_sans(svid.sans.as_ref(), &pointer, findings);
    }
    workload_identity::check_attestors(api.attestors.as_ref(), pointer, findings);
}

fn check_svid_path(path: &str, pointer: &Pointer, findings: &mut Findings<'_>) {
    if path.is_empty() {
        findings.require_nonempty(pointer, "path", path);
    } else if !path.starts_with('/') {
        findings.report_value(
            Code::InvalidAddress,
            pointer.key("path"),
            "the path of an SVID must begin with `/`",
            "add the leading `/`",
        );
    }
}

fn check_sans(sans: Option<&SvidSans>, pointer: &Pointer, findings: &mut Findings<'_>) {
    for (index, ip) in sans.iter().flat_map(|sans| sans.ip.iter().flatten()).enumerate() {
        if ip.as_str().parse::<std::net::IpAddr>().is_err() {
            findings.report_value(
                Code::InvalidAddress,
                pointer.key("sans").key("ip").index(index),
                "not an IP address",
                "write an IP address here, and names under `dns`",
            );
        }
    }
}
