//! The entries of `services` and `outputs`: the table of all service types, and one file per family of types. Depends
//! on the scalar types and on destinations.

pub(super) mod attestation;
mod command;
mod common;
pub(super) mod credentials;
pub(crate) mod file_names;
mod flags;
pub(super) mod kubernetes;
pub(super) mod network;
mod service_type;
pub(super) mod spiffe;
pub(super) mod ssh;
pub(super) mod workload_identity;

pub(super) use attestation::*;
pub use command::{FlagType, Requirement, ServiceCommand, ServiceFlag};
pub use common::{CredentialLifetime, Roles, ServiceFields};
pub(super) use credentials::*;
pub(super) use kubernetes::*;
pub(super) use network::*;
pub use service_type::{AccessClass, DestinationUse, ListenerClients, ServiceType};
pub(super) use spiffe::*;
pub(super) use ssh::*;
pub(super) use workload_identity::*;

use super::closed_types::tagged_union;
use super::scalar::Location;
use super::unsupported_property::UnsupportedProperty;
use super::variables::variables;
use command::{command, flag, switch};
use file_names::{
    HOST_CA_FILES, JWT_SVID_FILES, KUBECONFIG_FILES, OTHER_CA_FILES, SSH_CONFIG_FILES, SSH_HOST_FILES,
    SVID_CRL_FILES, SVID_FILES, TLS_FILES,
};
use flags::{APP, DATABASE, DESTINATION, FEDERATED, LISTEN, NO_EXEC_PLUGIN, SELECTOR};
use service_type::services;

// The columns are the fields of `ServiceType`. The commands and their flags have the names of Teleport's `tbot`.
services! {
    "identity" => Identity(IdentityService) {
        supported: true,
        access: Other,
        oneshot: true,
        long_lived: false,
        scoped: true,
        destination: Files(&[HOST_CA_FILES, OTHER_CA_FILES, SSH_CONFIG_FILES]),
        listener: None,
        successor: None,
        variables: &[],
        command: Some(command("Add an identity for tsh and SSH clients", "--destination /opt/machine-id", &[
            DESTINATION,
            &[
                flag("cluster", "NAME", "/cluster", "Leaf cluster to issue the credentials for"),
                switch!("allow-reissue", "/allow_reissue", "Allow using the identity to obtain others"),
            ],
        ]).with_aliases(&["ssh", "id"])),
    }
    "identity/key-agent" => KeyAgent(KeyAgentService) {
        supported: false,
        access: Other,
        oneshot: false,
        long_lived: false,
        scoped: false,
        destination: Socket(&[&["agent.sock"]]),
        listener: None,
        successor: None,
        variables: &[],
        command: None,
    }
    "application" => Application(ApplicationService) {
        supported: true,
        access: Application,
        oneshot: true,
        long_lived: false,
        scoped: false,
        destination: Files(&[HOST_CA_FILES, OTHER_CA_FILES, TLS_FILES]),
        listener: None,
        successor: None,
        variables: &[],
        command: Some(command("Add credentials for an application", "--destination /opt/machine-id --app grafana", &[
            DESTINATION,
            &[
                APP,
                switch!(
                    "specific-tls-extensions",
                    "/specific_tls_naming",
                    "Also write tls.crt, tls.key and tls.cas",
                ),
            ],
        ]).with_aliases(&["app"])),
    }
    "application-tunnel" => ApplicationTunnel(ApplicationTunnelService) {
        supported: true,
        access: Application,
        oneshot: false,
        long_lived: false,
        scoped: false,
        destination: None,
        listener: Some(ActAsBot),
        successor: None,
        variables: &[],
        command: Some(command("Add a local tunnel to an application", "--listen tcp://127.0.0.1:8080 --app grafana", &[&[LISTEN, APP]]).with_aliases(&["app-tunnel"])),
    }
    "application-proxy" => ApplicationProxy(ApplicationProxyService) {
        supported: true,
        access: Application,
        oneshot: false,
        long_lived: false,
        scoped: false,
        destination: None,
        listener: Some(ActAsBot),
        successor: None,
        variables: &[],
        command: Some(command("Add a local HTTP proxy to applications", "--listen tcp://127.0.0.1:8080", &[&[LISTEN]]).with_aliases(&["app-proxy"])),
    }
    "database" => Database(DatabaseService) {
        supported: true,
        access: Database,
        oneshot: true,
        long_lived: false,
        scoped: false,
        destination: Files(&[HOST_CA_FILES, OTHER_CA_FILES, TLS_FILES, &["mongo.crt", "mongo.cas"]]),
        listener: None,
        successor: None,
        variables: &[],
        command: Some(command("Add credentials for a database", "--destination /opt/machine-id --service orders-db --username app --database orders", &[
            DESTINATION,
            DATABASE,
            &[flag("format", "FORMAT", "/format", "File format: tls, mongo or cockroach")],
        ]).with_aliases(&["db"])),
    }
    "database-tunnel" => DatabaseTunnel(DatabaseTunnelService) {
        supported: true,
        access: Database,
        oneshot: false,
        long_lived: false,
        scoped: false,
        destination: None,
        listener: Some(ActAsBot),
        successor: None,
        variables: &[],
        command: Some(command("Add a local tunnel to a database", "--listen tcp://127.0.0.1:5432 --service orders-db --username app --database orders", &[&[LISTEN], DATABASE]).with_aliases(&["db-tunnel"])),
    }
    "kubernetes" => Kubernetes(KubernetesService) {
        supported: true,
        access: Kubernetes,
        oneshot: true,
        long_lived: false,
        scoped: false,
        destination: Files(&[HOST_CA_FILES, OTHER_CA_FILES, KUBECONFIG_FILES]),
        listener: None,
        successor: None,
        variables: &[],
        command: Some(command("Add a kubeconfig for one cluster", "--destination /opt/machine-id --kubernetes-cluster staging", &[
            DESTINATION,
            &[
                flag("kubernetes-cluster", "NAME", "/kubernetes_cluster", "Kubernetes cluster to connect to")
                    .required(),
                NO_EXEC_PLUGIN,
            ],
        ]).with_aliases(&["k8s"])),
    }
    "kubernetes/v2" => KubernetesV2(KubernetesV2Service) {
        supported: true,
        access: Kubernetes,
        oneshot: true,
        long_lived: false,
        scoped: true,
        destination: Files(&[HOST_CA_FILES, KUBECONFIG_FILES]),
        listener: None,
        successor: None,
        variables: &[],
        command: Some(command("Add a kubeconfig for several clusters", "--destination /opt/machine-id --label-selector env=staging", &[
            DESTINATION,
            &[
                flag(
                    "name-selector",
                    "NAME",
                    "/selectors/-/name",
                    "Kubernetes cluster to connect to; repeatable",
                )
                .with_requirement(Requirement::AtLeastOne),
                flag(
                    "label-selector",
                    "LABELS",
                    "/selectors/-/labels",
                    "Kubernetes clusters with these labels,\nas NAME=VALUE,...; repeatable",
                )
                .with_type(FlagType::Labels)
                .with_requirement(Requirement::AtLeastOne),
                NO_EXEC_PLUGIN,
            ],
        ])
        .with_aliases(&["k8s/v2"])),
    }
    "kubernetes/argo-cd" => KubernetesArgoCd(KubernetesArgoCdService) {
        supported: false,
        access: Kubernetes,
        oneshot: true,
        long_lived: false,
        scoped: false,
        destination: None,
        listener: None,
        successor: None,
        variables: &[],
        command: None,
    }
    "ssh_host" => SshHost(SshHostService) {
        supported: true,
        access: Other,
        oneshot: true,
        long_lived: false,
        scoped: false,
        destination: Files(&[SSH_HOST_FILES]),
        listener: None,
        successor: None,
        variables: &[],
        command: None,
    }
    "ssh-multiplexer" => SshMultiplexer(SshMultiplexerService) {
        supported: false,
        access: Other,
        oneshot: false,
        long_lived: false,
        scoped: false,
        destination: Socket(&[&["agent.sock", "v1.sock"], SSH_CONFIG_FILES]),
        listener: None,
        successor: None,
        variables: &[],
        command: Some(command("Add an SSH connection multiplexer", "--destination /opt/machine-id", &[
            DESTINATION,
            &[
                switch!(
                    "enable-resumption",
                    "/enable_resumption",
                    "Resume connections (default);\nturn off with --no-enable-resumption",
                ),
                flag(
                    "proxy-command",
                    "WORD",
                    "/proxy_command/-",
                    "One word of the command for ssh to run;\nrepeatable",
                ),
                flag("proxy-templates-path", "FILE", "/proxy_templates_path", "File with proxy templates"),
            ],
        ])),
    }
    "workload-identity-x509" => WorkloadIdentityX509(WorkloadIdentityX509Service) {
        supported: true,
        access: Other,
        oneshot: true,
        long_lived: true,
        scoped: true,
        destination: Files(&[SVID_FILES, SVID_CRL_FILES]),
        listener: None,
        successor: None,
        variables: &[],
        command: Some(command("Add an X.509 SVID", "--destination /opt/machine-id --name-selector web", &[DESTINATION, SELECTOR, &[FEDERATED]])),
    }
    "workload-identity-jwt" => WorkloadIdentityJwt(WorkloadIdentityJwtService) {
        supported: true,
        access: Other,
        oneshot: true,
        long_lived: true,
        scoped: true,
        destination: Files(&[JWT_SVID_FILES]),
        listener: None,
        successor: None,
        variables: &[],
        command: Some(command("Add a JWT SVID", "--destination /opt/machine-id --name-selector web --audience example.com", &[
            DESTINATION,
            SELECTOR,
            &[flag("audience", "NAME", "/audiences/-", "Audience of the token; repeatable").required()],
        ])),
    }
    "workload-identity-api" => WorkloadIdentityApi(WorkloadIdentityApiService) {
        supported: false,
        access: Other,
        oneshot: false,
        long_lived: true,
        scoped: true,
        destination: None,
        listener: Some(ReceiveSvids),
        successor: None,
        variables: &[variables(&["TELEPORT_NODE_NAME"], "Host of the kubelet that attests workloads.")],
        command: Some(command("Add a SPIFFE Workload API endpoint", "--listen unix:///run/spiffe.sock --name-selector web", &[SELECTOR, &[LISTEN]])),
    }
    "workload-identity-aws-roles-anywhere" => WorkloadIdentityAwsRolesAnywhere(AwsRolesAnywhereService) {
        supported: false,
        access: Other,
        oneshot: true,
        long_lived: false,
        scoped: false,
        destination: Files(&[]),
        listener: None,
        successor: None,
        variables: &[variables(&["AWS_REGION"], "AWS region of the service's requests.")],
        command: Some(command("Add AWS Roles Anywhere credentials", "--destination /opt/machine-id --name-selector web --role-arn arn:aws:iam::1234:role/web --profile-arn arn:aws:rolesanywhere:eu-west-1:1234:profile/0 --trust-anchor-arn arn:aws:rolesanywhere:eu-west-1:1234:trust-anchor/0", &[
            DESTINATION,
            SELECTOR,
            &[
                flag("role-arn", "ARN", "/role_arn", "Role to assume").required(),
                flag("profile-arn", "ARN", "/profile_arn", "Roles Anywhere profile").required(),
                flag("trust-anchor-arn", "ARN", "/trust_anchor_arn", "Roles Anywhere trust anchor").required(),
                flag("region", "REGION", "/region", "AWS region"),
                flag("session-duration", "DURATION", "/session_duration", "Lifetime of a session, such as 6h"),
                flag(
                    "session-renewal-interval",
                    "DURATION",
                    "/session_renewal_interval",
                    "How often to renew the session, such as 1h",
                ),
            ],
        ])),
    }
    "beams/vnet" => BeamsVnet(BeamsVnetService) {
        supported: false,
        access: Other,
        oneshot: false,
        long_lived: false,
        scoped: false,
        destination: None,
        listener: None,
        successor: None,
        variables: &[],
        command: None,
    }
    "spiffe-svid" => SpiffeSvid(SpiffeSvidService) {
        supported: false,
        access: Other,
        oneshot: true,
        long_lived: false,
        scoped: false,
        destination: Files(&[SVID_FILES, SVID_CRL_FILES]),
        listener: None,
        successor: Some(
            "use `workload-identity-x509`, and `workload-identity-jwt` instead of `jwts`; Teleport 17 and newer support both",
        ),
        variables: &[],
        command: Some(command("Add an X.509 SVID by path (deprecated)", "--destination /opt/machine-id --svid-path /web", &[
            DESTINATION,
            &[
                flag("svid-path", "PATH", "/svid/path", "Path of the SPIFFE ID, such as /svc/foo").required(),
                flag("svid-hint", "HINT", "/svid/hint", "Hint to distinguish this SVID from others"),
                flag("dns-san", "NAME", "/svid/sans/dns/-", "DNS SAN; repeatable"),
                flag("ip-san", "ADDRESS", "/svid/sans/ip/-", "IP SAN; repeatable"),
                FEDERATED,
            ],
        ])),
    }
    "spiffe-workload-api" => SpiffeWorkloadApi(SpiffeWorkloadApiService) {
        supported: false,
        access: Other,
        oneshot: false,
        long_lived: false,
        scoped: false,
        destination: None,
        listener: Some(ReceiveSvids),
        successor: Some("use `workload-identity-api`, which Teleport 17 and newer know"),
        variables: &[],
        command: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema;

    #[test]
    fn every_row_agrees_with_the_schema_of_its_type() {
        let root = schema::generate();
        for branch in root["$defs"].as_object().unwrap().values() {
            let Some(service_type) =
                branch["properties"]["type"]["const"].as_str().and_then(ServiceType::from_name)
            else {
                continue;
            };
            let name = service_type.name;
            let has_destination = branch["properties"].get("destination").is_some();
            assert_eq!(has_destination, service_type.destination != DestinationUse::None, "{name}");
            let listens = branch["properties"].get("listen").is_some();
            assert_eq!(listens, service_type.listener.is_some(), "{name}: column `listener`");
            assert_eq!(branch["deprecated"] == true, service_type.successor.is_some(), "{name}");
        }
    }
}
