//! The configuration of `tbot`: types that are their own JSON Schema, checks, and the effective configuration.
//!
//! Depends on `yaml` and `diagnostic`. Pure: no file, network, environment, clock; it knows neither tokio nor `event`.

mod checks;
pub(crate) mod closed;
mod destination;
mod disclosure;
mod duration;
mod explain;
mod hints;
mod join_uri;
mod load;
mod onboarding;
mod overrides;
mod provenance;
mod scalar;
pub mod schema;
mod service;
mod strict;
pub mod v1;

use schemars::JsonSchema;
use serde::Deserialize;

pub use checks::Purpose;
use closed::string_enum;
pub use destination::{AclMode, Destination, Directory, KubernetesSecret, Memory, Reader, SymlinkMode};
pub use disclosure::FileDisclosure;
pub use duration::{GoDuration, InvalidDuration};
pub use explain::structure;
pub use load::{Effective, Loaded, load};
pub use onboarding::{
    Azure, BoundKeypair, GenericOidc, Gitlab, JoinMethod, KubernetesJoin, Onboarding, Terraform,
};
pub use overrides::Override;
pub use provenance::{Input, Origin, Origins};
pub use scalar::{
    ByteLimit, Identifier, Location, Number, Port, Principal, Secret, Sensitivity, Setting, Switch, is_on,
};
pub use schema::FormatVersion;
pub use service::*;

/// The directory of the bot's own identity where `storage` says nothing.
pub const DEFAULT_STORAGE_PATH: &str = "/var/lib/teleport/bot";

/// How long credentials live where nothing says otherwise: one hour.
pub const DEFAULT_CREDENTIAL_TTL: GoDuration = GoDuration::from_secs(60 * 60);

/// How often credentials are renewed where nothing says otherwise: 20 minutes.
pub const DEFAULT_RENEWAL_INTERVAL: GoDuration = GoDuration::from_secs(20 * 60);

/// Configuration of `tbot`, the Machine ID agent for Teleport, version 2 of the format.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Version of the format.
    pub version: Version,
    /// How the bot proves to the cluster what it is.
    pub onboarding: Option<Onboarding>,
    /// Where the bot keeps its own identity. No output may write there.
    #[schemars(extend("default" = {"type": "directory", "path": DEFAULT_STORAGE_PATH}))]
    pub storage: Option<Destination>,
    /// What the bot provides.
    #[schemars(extend("x-sensitivity" = "category"))]
    pub services: Option<Vec<Service>>,
    /// What the bot provides, by its older name; these follow the entries of `services`.
    #[schemars(extend("x-sensitivity" = "category"))]
    pub outputs: Option<Vec<Service>>,
    /// Whether the log is verbose.
    #[schemars(extend("default" = false))]
    pub debug: Option<Switch>,
    /// Address of an auth server, as `host:port`.
    #[schemars(example = "auth.example.com:3025")]
    pub auth_server: Option<Location>,
    /// Address of a proxy, as `host:port`. Where both are set, this one is used.
    #[schemars(example = "teleport.example.com:443")]
    pub proxy_server: Option<Location>,
    /// Address, join method and token in one: `tbot+proxy+METHOD://TOKEN@HOST:PORT`.
    pub join_uri: Option<Secret>,
    /// How long credentials live.
    #[schemars(extend("default" = "1h"))]
    pub credential_ttl: Option<GoDuration>,
    /// Another spelling of `credential_ttl`.
    #[schemars(extend("deprecated" = true))]
    pub certificate_ttl: Option<GoDuration>,
    /// How often credentials are renewed; not in one-shot mode.
    #[schemars(extend("default" = "20m"))]
    pub renewal_interval: Option<GoDuration>,
    /// How far the clocks of this machine and the cluster may differ, for tunnels.
    #[schemars(extend("default" = "1m"))]
    pub leeway: Option<GoDuration>,
    /// Whether the agent writes all outputs once and ends.
    #[schemars(extend("default" = false, "x-sensitivity" = "category"))]
    pub oneshot: Option<bool>,
    /// Whether the bot is a scoped one, for which fewer service types run.
    #[schemars(extend("default" = false))]
    pub scoped: Option<Switch>,
    /// Whether only FIPS 140 validated cryptography may be used; needs a build of that kind.
    #[schemars(extend("default" = false))]
    pub fips: Option<Switch>,
    /// Where to serve health and metrics, as `host:port`; unset, nowhere.
    #[schemars(example = "127.0.0.1:3001")]
    pub diag_addr: Option<Location>,
    /// Whether the certificate of the proxy or auth server is taken unverified. For tests only; excludes `ca_pins` and
    /// `ca_path`.
    #[schemars(extend("default" = false))]
    pub insecure: Option<Switch>,
    /// Whether one anonymous `tbot.start` event is sent at each start. docs/telemetry.md says what it holds.
    #[schemars(extend("default" = false, "x-sensitivity" = "tuning"))]
    pub anonymous_telemetry_opt_in: Option<bool>,
}

string_enum! {
    /// Version of the format.
    #[sensitivity = Category]
    pub enum Version {
        /// The version that has `services` and `outputs`.
        V2 = "v2",
    }
}

impl Config {
    /// Every service, in the order in which they are numbered: `services`, then `outputs`.
    pub fn services(&self) -> impl Iterator<Item = &Service> {
        self.services.iter().flatten().chain(self.outputs.iter().flatten())
    }

    /// How long credentials live, with the default filled in.
    pub fn credential_ttl(&self) -> GoDuration {
        let set = [self.credential_ttl, self.certificate_ttl];
        set.into_iter().flatten().find(|ttl| !ttl.is_zero()).unwrap_or(DEFAULT_CREDENTIAL_TTL)
    }

    /// How often credentials are renewed, with the default filled in.
    pub fn renewal_interval(&self) -> GoDuration {
        self.renewal_interval.filter(|interval| !interval.is_zero()).unwrap_or(DEFAULT_RENEWAL_INTERVAL)
    }

    /// Where the bot keeps its own identity, with the default filled in.
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

    /// Whether the agent writes all outputs once and ends.
    pub fn is_oneshot(&self) -> bool {
        self.oneshot.unwrap_or(false)
    }
}
