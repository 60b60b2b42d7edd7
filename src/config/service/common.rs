//! Parts that service types have in common: shared fields, and the `service!` macro that declares the struct of a type.
//! Depends on the scalar types.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::destination::Destination;
use crate::config::duration::GoDuration;
use crate::config::scalar::Identifier;

/// Access to the fields that service types share, for the checks and the agent.
pub trait ServiceFields {
    /// Returns the configured `name`.
    fn name(&self) -> Option<&Identifier> {
        None
    }

    /// Returns the lifetime that the service sets for its credentials.
    fn lifetime(&self) -> CredentialLifetime {
        CredentialLifetime::default()
    }

    /// Returns the destination to which the service writes its files.
    fn destination(&self) -> Option<&Destination> {
        None
    }

    /// Returns whether `credential_ttl` is set.
    fn has_credential_ttl(&self) -> bool {
        false
    }

    /// Returns whether the deprecated `certificate_ttl` is set.
    fn has_certificate_ttl(&self) -> bool {
        false
    }

    /// Returns the key that sets the lifetime: `credential_ttl`, or the deprecated `certificate_ttl`.
    fn ttl_key(&self) -> &'static str {
        let is_old = self.has_certificate_ttl() && !self.has_credential_ttl();
        if is_old { "certificate_ttl" } else { "credential_ttl" }
    }

    /// Returns the key of the map that contains the lifetime, or `None` if the service itself contains it.
    fn lifetime_key(&self) -> Option<&'static str> {
        None
    }

    /// Returns the roles to impersonate. Empty if none are set.
    fn roles(&self) -> &[Identifier] {
        &[]
    }
}

/// The lifetime of credentials and the time between their renewals. Set both, or neither to use the top-level values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct CredentialLifetime {
    /// The lifetime of the credentials.
    #[schemars(example = "1h")]
    pub credential_ttl: Option<GoDuration>,
    /// The time between renewals.
    #[schemars(example = "20m")]
    pub renewal_interval: Option<GoDuration>,
}

/// The roles to impersonate. Newer servers do not support this and always issue credentials with all roles of the bot;
/// give the bot only the roles that it needs instead.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline, extend("deprecated" = true, "x-sensitivity" = "tuning"))]
pub struct Roles(pub Vec<Identifier>);

/// Declares the struct of a service type, with the fields that its family shares.
///
/// `lifetime` adds `name`, `credential_ttl`, `certificate_ttl` and `renewal_interval`; `output` adds `destination` to
/// these. `socket` is `lifetime` for a struct with its own `destination`. `roles` after the struct means that the struct has a
/// `roles` field.
macro_rules! service {
    (output $(#[$($meta:tt)*])* pub struct $name:ident { $($body:tt)* } $($roles:ident)?) => {
        service! {
            @declare $(#[$($meta)*])* pub struct $name {
                $($body)*
                /// The destination to which the files are written.
                pub destination: crate::config::destination::Destination,
            }
            {
                fn destination(&self) -> Option<&crate::config::destination::Destination> {
                    Some(&self.destination)
                }
            }
            $($roles)?
        }
    };
    (socket $(#[$($meta:tt)*])* pub struct $name:ident { $($body:tt)* } $($roles:ident)?) => {
        service! {
            @declare $(#[$($meta)*])* pub struct $name { $($body)* }
            {
                fn destination(&self) -> Option<&crate::config::destination::Destination> {
                    Some(&self.destination)
                }
            }
            $($roles)?
        }
    };
    (lifetime $(#[$($meta:tt)*])* pub struct $name:ident { $($body:tt)* } $($roles:ident)?) => {
        service! { @declare $(#[$($meta)*])* pub struct $name { $($body)* } {} $($roles)? }
    };
    (@declare $(#[$($meta:tt)*])* pub struct $name:ident { $($body:tt)* } { $($methods:tt)* } $($roles:ident)?) => {
        crate::config::map::map! {
            $(#[$($meta)*])*
            pub struct $name {
            $($body)*
            /// The name in logs and health checks. Allowed characters: `a-z`, `0-9`, `_`, `-` and `+`. If unset, it is
            /// generated, such as `identity-1`.
            pub name: Option<crate::config::scalar::Identifier>,
            /// The lifetime of the credentials. Set both this and `renewal_interval`, or neither to use the top-level
            /// values.
            #[schemars(example = "1h")]
            pub credential_ttl: Option<crate::config::duration::GoDuration>,
            /// The old name of `credential_ttl`.
            #[schemars(extend("deprecated" = true))]
            pub certificate_ttl: Option<crate::config::duration::GoDuration>,
            /// The time between renewals. Set both this and `credential_ttl`, or neither to use the top-level values.
            #[schemars(example = "20m")]
            pub renewal_interval: Option<crate::config::duration::GoDuration>,
        }
        }

        impl crate::config::service::common::ServiceFields for $name {
            fn name(&self) -> Option<&crate::config::scalar::Identifier> {
                self.name.as_ref()
            }

            fn lifetime(&self) -> crate::config::service::common::CredentialLifetime {
                crate::config::service::common::CredentialLifetime {
                    credential_ttl: self
                        .credential_ttl
                        .filter(|ttl| !ttl.is_zero())
                        .or(self.certificate_ttl),
                    renewal_interval: self.renewal_interval,
                }
            }

            fn has_credential_ttl(&self) -> bool {
                self.credential_ttl.is_some_and(|ttl| !ttl.is_zero())
            }

            fn has_certificate_ttl(&self) -> bool {
                self.certificate_ttl.is_some()
            }

            $($methods)*

            $(fn $roles(&self) -> &[crate::config::scalar::Identifier] {
                self.$roles.as_ref().map_or(&[], |roles| &roles.0)
            })?
        }
    };
}
pub(super) use service;
