//! The contents of a row of the table of service types, and the macro that declares the table. Depends on the description of
//! commands and environment variables.

use super::command::ServiceCommand;
use crate::config::variables::EnvironmentVariables;

/// A service type: one row of the table in `src/config/service.rs`.
#[derive(Clone, Copy, Debug)]
pub struct ServiceType {
    /// The name, which is the value of `type`.
    pub name: &'static str,
    /// Whether this version of the agent runs services of this type. If not, `tbot start` names them and exits before it
    /// joins.
    pub supported: bool,
    /// The access class.
    pub access: AccessClass,
    /// Whether a service of this type has an effect in oneshot mode.
    pub oneshot: bool,
    /// Whether clusters allow its credentials to live longer than 24 hours.
    pub long_lived: bool,
    /// Whether scoped bots support it.
    pub scoped: bool,
    /// What it writes to its destination.
    #[doc(hidden)]
    pub destination: DestinationUse,
    /// What clients that connect to its `listen` can do, or `None` if it has none. Each `listen` is checked: its address, and
    /// that it differs from all others.
    #[doc(hidden)]
    pub listener: Option<ListenerClients>,
    /// For a type that newer versions of Teleport do not support: a hint that names its successor.
    pub successor: Option<&'static str>,
    /// The environment variables that only this type reads.
    #[doc(hidden)]
    pub variables: &'static [EnvironmentVariables],
    /// The command of `tbot start` and `tbot configure` that adds a service of this type.
    #[doc(hidden)]
    pub command: Option<ServiceCommand>,
}

impl ServiceType {
    /// Returns the type with this name.
    pub fn from_name(name: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|service_type| service_type.name == name)
    }
}

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

    /// Returns the class of a service type, or `None` if the type is unknown.
    pub fn of_type(type_name: &str) -> Option<Self> {
        ServiceType::from_name(type_name).map(|service_type| service_type.access)
    }
}

/// What a service type writes to its `destination`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DestinationUse {
    /// It has no `destination`.
    None,
    /// Sockets and their settings, with these names. The destination must be a directory, which other services may use,
    /// too, as long as no name is the same.
    Socket(&'static [&'static [&'static str]]),
    /// Files, which are replaced as one set, so that no other service may write files there. These are the names of all
    /// files that the type may write, whatever its settings, except names that the configuration contains.
    Files(&'static [&'static [&'static str]]),
}

/// What the clients of a service that listens can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerClients {
    /// Act as the bot, so that a listener which other machines can reach is reported.
    ActAsBot,
    /// Obtain the SVIDs that the service issues to them.
    ReceiveSvids,
}

/// Declares `Service`, `SupportedService` and the rows of `ServiceType` from the table of service types. A row that lacks
/// one of the facts does not compile. Neither does the agent if it does not run a type that is `supported`.
macro_rules! services {
    ($(
        $name:literal => $variant:ident($body:ty) {
            supported: $supported:tt,
            access: $access:ident,
            oneshot: $oneshot:literal,
            long_lived: $long_lived:literal,
            scoped: $scoped:literal,
            destination: $destination:ident $(($file_names:expr))?,
            listener: $listener:ident $(($clients:ident))?,
            successor: $successor:expr,
            variables: $variables:expr,
            command: $command:expr,
        }
    )+) => {
        tagged_union! {
            /// An entry of `services` or `outputs`.
            pub enum Service {
                $($name => $variant($body) { "x-access": AccessClass::$access.name() },)+
            }
        }

        impl ServiceType {
            /// All types, in the order of the schema.
            pub const ALL: &'static [Self] = &[$(Self {
                name: $name,
                supported: $supported,
                access: AccessClass::$access,
                oneshot: $oneshot,
                long_lived: $long_lived,
                scoped: $scoped,
                destination: DestinationUse::$destination $(($file_names))?,
                listener: $listener $((ListenerClients::$clients))?,
                successor: $successor,
                variables: $variables,
                command: $command,
            },)+];
        }

        impl Service {
            /// Returns the type, with everything that the table says about it.
            pub const fn service_type(&self) -> &'static ServiceType {
                enum Row {
                    $($variant,)+
                }
                let row = match self {
                    $(Self::$variant(_) => Row::$variant,)+
                };
                &ServiceType::ALL[row as usize]
            }

            /// The unsupported properties of each type, with the name of its struct.
            pub(in crate::config) const UNSUPPORTED: &'static [(&'static str, &'static [UnsupportedProperty])] =
                &[$((stringify!($body), <$body>::UNSUPPORTED),)+];

            /// Returns the unsupported properties that are set.
            pub(in crate::config) fn unsupported_properties(&self) -> Vec<UnsupportedProperty> {
                match self {
                    $(Self::$variant(body) => body.unsupported_properties(),)+
                }
            }

            /// Returns the `listen` of a service that listens.
            pub(in crate::config) const fn listen(&self) -> Option<&Location> {
                match self {
                    $(Self::$variant(body) => services! { @listen body $listener },)+
                }
            }

            /// Returns the fields that service types share.
            pub fn fields(&self) -> &dyn ServiceFields {
                match self {
                    $(Self::$variant(body) => body,)+
                }
            }
        }

        services! { @supported [] $($supported $variant($body))+ }
    };
    (@listen $body:ident None) => {{
        _ = $body;
        None
    }};
    (@listen $body:ident Some) => { Some(&$body.listen) };
    (@supported [$($done:tt)*] true $variant:ident($body:ty) $($rest:tt)*) => {
        services! { @supported [$($done)* $variant($body)] $($rest)* }
    };
    (@supported [$($done:tt)*] false $variant:ident($body:ty) $($rest:tt)*) => {
        services! { @supported [$($done)*] $($rest)* }
    };
    (@supported [$($variant:ident($body:ty))*]) => {
        /// A service of a type that this version of the agent supports.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub enum SupportedService<'a> {
            $(
                #[doc = concat!("[`Service::", stringify!($variant), "`]")]
                $variant(&'a $body),
            )*
        }

        impl Service {
            /// Returns the service for the agent, or `None` if this version does not support its type.
            pub const fn supported(&self) -> Option<SupportedService<'_>> {
                match self {
                    $(Self::$variant(body) => Some(SupportedService::$variant(body)),)*
                    _ => None,
                }
            }
        }
    };
}
pub(super) use services;
