//! Version 2 of the configuration format: the top level of `tbot.yaml`. Depends on the other configuration types and `pointer`.

use super::closed_types::string_enum;
use super::destination::{Destination, Directory};
use super::duration::GoDuration;
use super::map::map;
use super::onboarding::Onboarding;
use super::scalar::{Location, OptionalString as _, Secret, Switch};
use super::service::Service;
use crate::pointer::Pointer;

/// The directory in which the bot stores its own identity if `storage` is unset.
pub const DEFAULT_STORAGE_PATH: &str = "/var/lib/teleport/bot";

/// The lifetime of credentials if the configuration sets none: one hour.
pub const DEFAULT_CREDENTIAL_TTL: GoDuration = GoDuration::from_secs(60 * 60);

/// The clock skew that listening services tolerate if the configuration sets none: a minute.
pub const DEFAULT_LEEWAY: GoDuration = GoDuration::from_secs(60);

/// The time between renewals if the configuration sets none: 20 minutes.
pub const DEFAULT_RENEWAL_INTERVAL: GoDuration = GoDuration::from_secs(20 * 60);

map! {
    /// Configuration of `tbot`, the Machine ID agent for Teleport, in version 2 of the format.
    pub struct Config {
        /// The version of the configuration format.
        pub version: VersionV2,
        /// How the bot joins the cluster.
        pub onboarding: Option<Onboarding>,
        /// The destination in which the bot stores its own identity. Must not be shared with an output.
        #[schemars(extend("default" = {"type": "directory", "path": DEFAULT_STORAGE_PATH}))]
        pub storage: Option<Destination>,
        /// The services that the bot runs and the outputs that it writes.
        #[schemars(extend("x-sensitivity" = "category"))]
        pub services: Option<Vec<Service>>,
        /// The old name of `services`. Accepts the same entries, which are numbered after those of `services`.
        #[schemars(extend("x-sensitivity" = "category"))]
        pub outputs: Option<Vec<Service>>,
        /// Enables debug logging.
        #[schemars(extend("default" = false))]
        pub debug: Option<Switch>,
        /// The address of an auth server, as `host:port`, to connect to it without a proxy. Ignored if `proxy_server` is set.
        #[schemars(example = "auth.example.com:3025")]
        pub auth_server: Option<Location>,
        /// The address of a proxy, as `host:port`. Takes precedence over `auth_server`.
        #[schemars(example = "teleport.example.com:443")]
        pub proxy_server: Option<Location>,
        /// A URI that sets the address, the join method and the join token at once:
        /// `tbot+proxy+METHOD://TOKEN@HOST:PORT`, or `tbot+auth+...` for an auth server.
        pub join_uri: Option<Secret>,
        /// The lifetime of credentials. A service can override it.
        #[schemars(extend("default" = "1h"))]
        pub credential_ttl: Option<GoDuration>,
        /// The old name of `credential_ttl`, which takes precedence if both are set.
        #[schemars(extend("deprecated" = true))]
        pub certificate_ttl: Option<GoDuration>,
        /// The time between renewals of credentials. A service can override it. Ignored in oneshot mode.
        #[schemars(extend("default" = "20m"))]
        pub renewal_interval: Option<GoDuration>,
        /// The clock skew that tunnels and the application proxy tolerate between this machine and the cluster: they
        /// replace a certificate this long before it expires. May be negative.
        #[schemars(extend("default" = "1m"))]
        pub leeway: Option<GoDuration>,
        /// Writes all outputs once and then exits, instead of running continuously.
        #[schemars(extend("default" = false, "x-sensitivity" = "category"))]
        pub oneshot: Option<bool>,
        /// Runs the bot as a scoped bot, which supports only some service types.
        #[schemars(extend("default" = false))]
        #[unsupported = "scoped bots"]
        pub scoped: Option<Switch>,
        /// Restricts cryptography to FIPS 140 validated modules. Requires a FIPS build.
        #[schemars(extend("default" = false))]
        #[unsupported = "FIPS mode"]
        pub fips: Option<Switch>,
        /// The address on which to serve health checks and metrics, as `host:port`. If unset, they are not served.
        #[schemars(example = "127.0.0.1:3001")]
        pub diag_addr: Option<Location>,
        /// Accepts any certificate from the proxy or auth server, without verification. For testing only. Conflicts with
        /// `onboarding.ca_pins` and `onboarding.ca_path`.
        #[schemars(extend("default" = false))]
        pub insecure: Option<Switch>,
        /// Opts in to anonymous usage telemetry: one `tbot.start` event at each start. Its contents are documented in
        /// docs/telemetry.md.
        #[schemars(extend("default" = false, "x-sensitivity" = "tuning"))]
        pub anonymous_telemetry_opt_in: Option<bool>,
    }
}

string_enum! {
    /// The version of the configuration format.
    #[sensitivity = Category]
    pub enum VersionV2 {
        /// The current version, which has `services` and `outputs`.
        V2 = "v2",
    }
}

impl Config {
    /// Returns every service in numbering order: `services`, then `outputs`.
    pub fn services(&self) -> impl Iterator<Item = &Service> {
        self.services.iter().flatten().chain(self.outputs.iter().flatten())
    }

    /// Returns the lifetime of credentials, or the default if none is set.
    pub fn credential_ttl(&self) -> GoDuration {
        let set = [self.credential_ttl, self.certificate_ttl];
        set.into_iter().flatten().find(|ttl| !ttl.is_zero()).unwrap_or(DEFAULT_CREDENTIAL_TTL)
    }

    /// Returns the time between renewals, or the default if none is set.
    pub fn renewal_interval(&self) -> GoDuration {
        self.renewal_interval.filter(|interval| !interval.is_zero()).unwrap_or(DEFAULT_RENEWAL_INTERVAL)
    }

    /// Returns the clock skew that listening services tolerate, or the default if none is set. May be negative.
    pub fn leeway(&self) -> GoDuration {
        self.leeway.filter(|leeway| !leeway.is_zero()).unwrap_or(DEFAULT_LEEWAY)
    }

    /// Returns the destination of the bot's own identity, or the default if none is set.
    pub fn storage(&self) -> Destination {
        self.storage.clone().unwrap_or_else(|| {
            Destination::Directory(Directory {
                path: Location::from(DEFAULT_STORAGE_PATH),
                symlinks: None,
                acls: None,
                readers: None,
            })
        })
    }

    /// Returns the paths of the files that the agent reads in order to join, with their pointers.
    #[doc(hidden)]
    pub fn files_read(&self) -> Vec<(Pointer, &str)> {
        let Some(onboarding) = &self.onboarding else { return Vec::new() };
        let token = onboarding.token.nonempty().filter(|token| token.starts_with('/'));
        let mut files = vec![("token", token), ("ca_path", onboarding.ca_path.nonempty())];
        if let Some(bound) = &onboarding.bound_keypair {
            files.extend([
                ("bound_keypair/registration_secret_path", bound.registration_secret_path.nonempty()),
                ("bound_keypair/static_private_key_path", bound.static_private_key_path.nonempty()),
                ("bound_keypair/static_key_path", bound.static_key_path.nonempty()),
            ]);
        }
        if let Some(kubernetes) = &onboarding.kubernetes {
            files.push(("kubernetes/token_path", kubernetes.token_path.nonempty()));
        }
        let at = |key: &str| Pointer::from(format!("/onboarding/{key}"));
        files.into_iter().filter_map(|(key, path)| Some((at(key), path?))).collect()
    }

    /// Returns whether there is a join URI that contains the address of an auth server.
    pub(super) fn has_join_uri_of_auth_server(&self) -> bool {
        self.join_uri.as_ref().is_some_and(|uri| uri.as_str().starts_with("tbot+auth+"))
    }

    /// Returns whether the agent runs in oneshot mode.
    pub fn is_oneshot(&self) -> bool {
        self.oneshot.unwrap_or(false)
    }

    /// Returns the feature that a property configures, if this version of the agent does not support it. `definition` is
    /// the name of the schema definition that has the property; `Config` is the root.
    #[doc(hidden)]
    pub fn unsupported_feature(definition: &str, property: &str) -> Option<&'static str> {
        let definitions = Service::UNSUPPORTED.iter().chain(&[("Config", Self::UNSUPPORTED)]);
        let properties = definitions.filter(|(name, _)| *name == definition).flat_map(|(_, list)| *list);
        properties.filter(|unsupported| unsupported.name == property).map(|found| found.feature).next()
    }
}
