//! The entries of `services` and `outputs`: the table of all service types, and one file per family of types. Depends
//! on the scalar types and on destinations.

mod attestation;
mod common;
mod credentials;
mod kubernetes;
mod network;
mod spiffe;
mod ssh;
mod workload_identity;

pub use attestation::*;
pub use common::{CredentialLifetime, Roles, ServiceFields};
pub use credentials::*;
pub use kubernetes::*;
pub use network::*;
pub use spiffe::*;
pub use ssh::*;
pub use workload_identity::*;

use super::closed_types::tagged_union;

/// The class of access that a service type provides: the `x-access` of its schema, and the class under which telemetry
/// counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessClass {
    /// Application access.
    Application,
    /// Database access.
    Database,
    /// Kubernetes access.
    Kubernetes,
    /// Any other access.
    Other,
}

impl AccessClass {
    /// All classes.
    pub const ALL: [Self; 4] = [Self::Application, Self::Database, Self::Kubernetes, Self::Other];

    /// Returns the name of the class in `x-access`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Database => "database",
            Self::Kubernetes => "kubernetes",
            Self::Other => "other",
        }
    }

    /// Returns the class with the given name in `x-access`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }
}

/// Declares `Service` from the table of service types. A row without an access class does not compile.
macro_rules! services {
    ($($type_name:literal => $variant:ident($body:ty), $access:ident;)+) => {
        tagged_union! {
            /// An entry of `services` or `outputs`.
            pub enum Service {
                $($type_name => $variant($body) { "x-access": AccessClass::$access.name() },)+
            }
        }

        impl AccessClass {
            /// Returns the class of a service type, or `None` if the type is unknown.
            pub fn of_type(type_name: &str) -> Option<Self> {
                match type_name {
                    $($type_name => Some(Self::$access),)+
                    _ => None,
                }
            }
        }

        impl Service {
            /// Returns the fields that service types share.
            pub fn fields(&self) -> &dyn ServiceFields {
                match self {
                    $(Self::$variant(body) => body,)+
                }
            }
        }
    };
}

services! {
    "identity" => Identity(IdentityService), Other;
    "identity/key-agent" => KeyAgent(KeyAgentService), Other;
    "application" => Application(ApplicationService), Application;
    "application-tunnel" => ApplicationTunnel(ApplicationTunnelService), Application;
    "application-proxy" => ApplicationProxy(ApplicationProxyService), Application;
    "database" => Database(DatabaseService), Database;
    "database-tunnel" => DatabaseTunnel(DatabaseTunnelService), Database;
    "kubernetes" => Kubernetes(KubernetesService), Kubernetes;
    "kubernetes/v2" => KubernetesV2(KubernetesV2Service), Kubernetes;
    "kubernetes/argo-cd" => KubernetesArgoCd(KubernetesArgoCdService), Kubernetes;
    "ssh_host" => SshHost(SshHostService), Other;
    "ssh-multiplexer" => SshMultiplexer(SshMultiplexerService), Other;
    "workload-identity-x509" => WorkloadIdentityX509(WorkloadIdentityX509Service), Other;
    "workload-identity-jwt" => WorkloadIdentityJwt(WorkloadIdentityJwtService), Other;
    "workload-identity-api" => WorkloadIdentityApi(WorkloadIdentityApiService), Other;
    "workload-identity-aws-roles-anywhere" => WorkloadIdentityAwsRolesAnywhere(AwsRolesAnywhereService), Other;
    "beams/vnet" => BeamsVnet(BeamsVnetService), Other;
    "spiffe-svid" => SpiffeSvid(SpiffeSvidService), Other;
    "spiffe-workload-api" => SpiffeWorkloadApi(SpiffeWorkloadApiService), Other;
}
