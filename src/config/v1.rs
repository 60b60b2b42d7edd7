//! Version 1 of the configuration: its types, and its conversion to version 2. Depends on the configuration's types.
//!
//! A file of version 1 has `destinations` whose kind is told by which keys are there. It is judged as what it is, with
//! diagnostics at its own places, and becomes a value of version 2.

mod convert;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::Value;

pub(super) use convert::convert;

use super::closed::string_enum;
use super::destination::{AclMode, SymlinkMode};
use super::onboarding::Onboarding;
use super::scalar::{Identifier, Location, Switch};
use super::service::Roles;
use super::{GoDuration, strict};

/// Configuration of `tbot`, version 1 of the format: superseded by version 2, still read.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigV1 {
    /// Version of the format; a file without one is of version 1.
    pub version: Option<VersionV1>,
    /// How the bot proves to the cluster what it is.
    pub onboarding: Option<Onboarding>,
    /// Where the bot keeps its own identity.
    #[schemars(extend("default" = {"directory": super::DEFAULT_STORAGE_PATH}))]
    pub storage: Option<StorageV1>,
    /// What the bot writes, and where.
    #[schemars(extend("x-sensitivity" = "category"))]
    pub destinations: Option<Vec<DestinationV1>>,
    /// Whether the log is verbose.
    #[schemars(extend("default" = false))]
    pub debug: Option<Switch>,
    /// Address of a proxy or an auth server, as `host:port`.
    #[schemars(example = "teleport.example.com:443")]
    pub auth_server: Option<Location>,
    /// How long credentials live.
    #[schemars(extend("default" = "1h"))]
    pub certificate_ttl: Option<GoDuration>,
    /// How often credentials are renewed; not in one-shot mode.
    #[schemars(extend("default" = "20m"))]
    pub renewal_interval: Option<GoDuration>,
    /// Whether the agent writes everything once and ends.
    #[schemars(extend("default" = false, "x-sensitivity" = "category"))]
    pub oneshot: Option<bool>,
    /// Whether only FIPS 140 validated cryptography may be used; needs a build of that kind.
    #[schemars(extend("default" = false))]
    pub fips: Option<Switch>,
    /// Where to serve health and metrics, as `host:port`; unset, nowhere.
    #[schemars(example = "127.0.0.1:3001")]
    pub diag_addr: Option<Location>,
    /// Whether one anonymous `tbot.start` event is sent at each start. docs/telemetry.md says what it holds.
    #[schemars(extend("default" = false, "x-sensitivity" = "tuning"))]
    pub anonymous_telemetry_opt_in: Option<bool>,
}

string_enum! {
    /// Version of the format.
    #[sensitivity = Category]
    pub enum VersionV1 {
        /// The version that has `destinations`; the same as none.
        V1 = "v1",
        /// The same as none.
        Unset = "",
    }
}

/// Where the bot keeps its own identity: exactly one of `directory` and `memory`.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct StorageV1 {
    /// A folder: its path, or a map with `path`.
    pub directory: Option<DirectoryV1>,
    /// The agent's memory: `true` or an empty map.
    pub memory: Option<MemoryV1>,
}

/// What the bot writes, and where: exactly one of `directory` and `memory`, and at most one of `app`, `database`,
/// `kubernetes_cluster` and the template `ssh_host_cert`.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "category"))]
pub struct DestinationV1 {
    /// A folder: its path, or a map with `path`.
    pub directory: Option<DirectoryV1>,
    /// The agent's memory: `true` or an empty map.
    pub memory: Option<MemoryV1>,
    /// Templates of files to write.
    #[schemars(extend("x-sensitivity" = "tuning"))]
    pub configs: Option<Vec<TemplateV1>>,
    /// Roles to impersonate.
    pub roles: Option<Roles>,
    /// Leaf cluster that the credentials are for.
    pub cluster: Option<Identifier>,
    /// Name of the application that the credentials are for.
    pub app: Option<Identifier>,
    /// The database that the credentials are for.
    pub database: Option<DatabaseV1>,
    /// Name of the Kubernetes cluster that the credentials are for.
    pub kubernetes_cluster: Option<Identifier>,
}

/// A database.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct DatabaseV1 {
    /// Name of the database service in the cluster.
    pub service: Option<Identifier>,
    /// Name of the database on its server.
    pub database: Option<Identifier>,
    /// User to log in as.
    pub username: Option<Identifier>,
}

/// A folder, in its long form.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct DirectoryBlockV1 {
    /// Path of the folder.
    pub path: Option<Location>,
    /// What to do about symbolic links in the path.
    #[schemars(extend("default" = "try-secure"))]
    pub symlinks: Option<SymlinkMode>,
    /// What to do about access control lists.
    #[schemars(extend("default" = "try"))]
    pub acls: Option<AclMode>,
}

/// No options.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct NoOptions {}

string_enum! {
    /// A template of files to write.
    #[sensitivity = Tuning]
    pub enum TemplateName {
        /// The certificate authorities.
        TlsCas = "tls_cas",
        /// `tls.crt`, `tls.key`, `tls.cas`.
        Tls = "tls",
        /// The identity file.
        Identity = "identity",
        /// `ssh_config` and `known_hosts`.
        SshClient = "ssh_client",
        /// A host key and certificate.
        SshHostCert = "ssh_host_cert",
        /// A kubeconfig.
        Kubernetes = "kubernetes",
        /// `mongo.crt`, `mongo.cas`.
        Mongo = "mongo",
        /// CockroachDB's names.
        Cockroach = "cockroach",
    }
}

/// A template with options: a map with one key.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct TemplateBlockV1 {
    /// The certificate authorities.
    pub tls_cas: Option<NoOptions>,
    /// `tls.crt`, `tls.key`, `tls.cas`.
    pub tls: Option<NoOptions>,
    /// The identity file.
    pub identity: Option<NoOptions>,
    /// `ssh_config` and `known_hosts`.
    pub ssh_client: Option<NoOptions>,
    /// A host key and certificate.
    pub ssh_host_cert: Option<SshHostCertV1>,
    /// A kubeconfig.
    pub kubernetes: Option<NoOptions>,
    /// `mongo.crt`, `mongo.cas`.
    pub mongo: Option<NoOptions>,
    /// CockroachDB's names.
    pub cockroach: Option<NoOptions>,
}

/// What a host certificate is for.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct SshHostCertV1 {
    /// Host names; at least one.
    #[schemars(extend("x-sensitivity" = "tuning"))]
    pub principals: Option<Vec<Identifier>>,
}

/// A type that has a short form beside its map.
macro_rules! short_or_map {
    ($(#[$doc:meta])* enum $name:ident { $short_variant:ident($short:ty), $map_variant:ident($map:ty) }, $is_short:pat) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $name {
            $short_variant($short),
            $map_variant($map),
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = Value::deserialize(deserializer)?;
                match value {
                    $is_short => strict::from_value(&value).map(Self::$short_variant),
                    _ => strict::from_value(&value).map(Self::$map_variant),
                }
                .map_err(D::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "anyOf": [generator.subschema_for::<$short>(), generator.subschema_for::<$map>()],
                    "x-sensitivity": "location",
                })
            }
        }
    };
}

short_or_map! {
    /// A folder: its path, or a map with `path`.
    enum DirectoryV1 { Path(Location), Block(DirectoryBlockV1) }, Value::String(_)
}

short_or_map! {
    /// The agent's memory: `true`, or an empty map.
    enum MemoryV1 { Flag(Switch), Block(NoOptions) }, Value::Bool(_)
}

short_or_map! {
    /// A template by its name, or as a map with one key.
    enum TemplateV1 { Name(TemplateName), Block(TemplateBlockV1) }, Value::String(_)
}
