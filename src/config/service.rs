//! What the bot provides: every type of `services` and `outputs`, one file a family. Depends on the scalars.

mod beams;
mod credentials;
mod kubernetes;
mod spiffe;
mod ssh;
mod tunnel;
mod workload_identity;

pub use beams::*;
pub use credentials::*;
pub use kubernetes::*;
pub use spiffe::*;
pub use ssh::*;
pub use tunnel::*;
pub use workload_identity::*;

use super::closed::tagged_union;
use super::destination::Destination;
use super::duration::GoDuration;
use super::scalar::Identifier;

/// What kind of access a service gives; the `x-access` of its type, and the class that telemetry counts it in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Application access.
    Application,
    /// Database access.
    Database,
    /// Kubernetes access.
    Kubernetes,
    /// Anything else.
    Other,
}

impl Access {
    /// Every class.
    pub const ALL: [Self; 4] = [Self::Application, Self::Database, Self::Kubernetes, Self::Other];

    /// The value of `x-access`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Database => "database",
            Self::Kubernetes => "kubernetes",
            Self::Other => "other",
        }
    }

    /// The class that an `x-access` names.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|access| access.name() == name)
    }
}

/// What a service's fields have in common, for the checks and the agent.
pub trait ServiceFields {
    /// The `name` that the file gives.
    fn name(&self) -> Option<&Identifier> {
        None
    }

    /// The lifetime of the service's credentials.
    fn lifetime(&self) -> Lifetime {
        Lifetime::default()
    }

    /// Where the service writes.
    fn destination(&self) -> Option<&Destination> {
        None
    }

    /// Whether there is a `certificate_ttl`.
    fn has_certificate_ttl(&self) -> bool {
        false
    }

    /// The key whose value is the lifetime's TTL.
    fn ttl_key(&self) -> &'static str {
        "credential_ttl"
    }

    /// The roles to impersonate, where the file names any.
    fn roles(&self) -> &[Identifier] {
        &[]
    }
}

/// How long credentials live and how often they are renewed, where a service says so itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifetime {
    /// How long credentials live.
    pub credential_ttl: Option<GoDuration>,
    /// How often they are renewed.
    pub renewal_interval: Option<GoDuration>,
}

/// Roles to impersonate. Newer servers take all of the bot's roles; give the bot only these instead.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
#[schemars(inline, extend("deprecated" = true, "x-sensitivity" = "tuning"))]
pub struct Roles(pub Vec<Identifier>);

/// Declares the struct of a service type with the fields that its kind has in common: `lifetime` adds `name`,
/// `credential_ttl` and `renewal_interval`; `output` adds `destination` to these. `roles` behind the struct says that
/// the type has that field.
macro_rules! service {
    (output $(#[$meta:meta])* pub struct $name:ident { $($body:tt)* } $($roles:ident)?) => {
        service! {
            @declare $(#[$meta])* pub struct $name {
                $($body)*
                /// Where the files are written.
                pub destination: crate::config::Destination,
            }
            { fn destination(&self) -> Option<&crate::config::Destination> { Some(&self.destination) } }
            $($roles)?
        }
    };
    (lifetime $(#[$meta:meta])* pub struct $name:ident { $($body:tt)* } $($roles:ident)?) => {
        service! { @declare $(#[$meta])* pub struct $name { $($body)* } {} $($roles)? }
    };
    (@declare $(#[$meta:meta])* pub struct $name:ident { $($body:tt)* } { $($methods:tt)* } $($roles:ident)?) => {
        #[derive(Clone, Debug, PartialEq, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        $(#[$meta])*
        pub struct $name {
            $($body)*
            /// Name of the service, for logs and health: `a-z`, `0-9`, `_`, `-`, `+`. Unset, its type and a number.
            pub name: Option<crate::config::Identifier>,
            /// How long the credentials live. Goes with `renewal_interval`; unset, as at the top level.
            #[schemars(example = "1h")]
            pub credential_ttl: Option<crate::config::GoDuration>,
            /// Another spelling of `credential_ttl`.
            #[schemars(extend("deprecated" = true))]
            pub certificate_ttl: Option<crate::config::GoDuration>,
            /// How often the credentials are renewed. Goes with `credential_ttl`; unset, as at the top level.
            #[schemars(example = "20m")]
            pub renewal_interval: Option<crate::config::GoDuration>,
        }

        impl crate::config::ServiceFields for $name {
            fn name(&self) -> Option<&crate::config::Identifier> {
                self.name.as_ref()
            }

            fn lifetime(&self) -> crate::config::Lifetime {
                crate::config::Lifetime {
                    credential_ttl: self
                        .credential_ttl
                        .filter(|ttl| !ttl.is_zero())
                        .or(self.certificate_ttl),
                    renewal_interval: self.renewal_interval,
                }
            }

            fn has_certificate_ttl(&self) -> bool {
                self.certificate_ttl.is_some()
            }

            fn ttl_key(&self) -> &'static str {
                let named = self.credential_ttl.is_some_and(|ttl| !ttl.is_zero());
                if named || self.certificate_ttl.is_none() { "credential_ttl" } else { "certificate_ttl" }
            }

            $($methods)*

            $(fn $roles(&self) -> &[crate::config::Identifier] {
                self.$roles.as_ref().map_or(&[], |roles| &roles.0)
            })?
        }
    };
}
use service;

/// Declares `Service` from its table. A row without an access class does not compile.
macro_rules! services {
    ($($value:literal => $variant:ident, $access:ident;)+) => {
        tagged_union! {
            /// One entry of `services` or `outputs`.
            pub enum Service {
                $($value => $variant($variant) { "x-access": Access::$access.name() },)+
            }
        }

        impl Access {
            /// The class of a service type; none for a type that is not known.
            pub fn of(type_name: &str) -> Option<Self> {
                match type_name {
                    $($value => Some(Self::$access),)+
                    _ => None,
                }
            }
        }

        impl Service {
            /// The fields that service types have in common.
            pub fn fields(&self) -> &dyn ServiceFields {
                match self {
                    $(Self::$variant(body) => body,)+
                }
            }
        }
    };
}

services! {
    "identity" => Identity, Other;
    "identity/key-agent" => KeyAgent, Other;
    "application" => Application, Application;
    "application-tunnel" => ApplicationTunnel, Application;
    "application-proxy" => ApplicationProxy, Application;
    "database" => Database, Database;
    "database-tunnel" => DatabaseTunnel, Database;
    "kubernetes" => Kubernetes, Kubernetes;
    "kubernetes/v2" => KubernetesV2, Kubernetes;
    "kubernetes/argo-cd" => KubernetesArgoCd, Kubernetes;
    "ssh_host" => SshHost, Other;
    "ssh-multiplexer" => SshMultiplexer, Other;
    "workload-identity-x509" => WorkloadIdentityX509, Other;
    "workload-identity-jwt" => WorkloadIdentityJwt, Other;
    "workload-identity-api" => WorkloadIdentityApi, Other;
    "workload-identity-aws-roles-anywhere" => WorkloadIdentityAwsRolesAnywhere, Other;
    "beams/vnet" => BeamsVnet, Other;
    "spiffe-svid" => SpiffeSvid, Other;
    "spiffe-workload-api" => SpiffeWorkloadApi, Other;
}
