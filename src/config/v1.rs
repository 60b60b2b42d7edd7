//! The types of version 1 of the configuration format. Depends on the types that both versions share.
//!
//! A file in version 1 has `destinations`, whose keys determine what is written. It is checked against its own schema,
//! with diagnostics that refer to the file, and then converted to version 2.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::Value;

use super::closed_types::{self, string_enum};
use super::destination::{AclMode, SymlinkMode};
use super::duration::GoDuration;
use super::onboarding::Onboarding;
use super::scalar::{Identifier, Location, Switch};
use super::service::Roles;
use super::strict;
use super::v2::DEFAULT_STORAGE_PATH;

/// Configuration of `tbot`, the Machine ID agent for Teleport, in version 1 of the format. Superseded by version 2, but
/// still accepted.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigV1 {
    /// The version of the configuration format. A file without a version is in version 1.
    pub version: Option<VersionV1>,
    /// How the bot joins the cluster.
    pub onboarding: Option<Onboarding>,
    /// Where the bot stores its own identity.
    #[schemars(extend("default" = {"directory": DEFAULT_STORAGE_PATH}))]
    pub storage: Option<StorageV1>,
    /// The outputs that the bot writes.
    #[schemars(extend("x-sensitivity" = "category"))]
    pub destinations: Option<Vec<DestinationV1>>,
    /// Enables debug logging.
    #[schemars(extend("default" = false))]
    pub debug: Option<Switch>,
    /// The address of a proxy or an auth server, as `host:port`.
    #[schemars(example = "teleport.example.com:443")]
    pub auth_server: Option<Location>,
    /// The lifetime of credentials.
    #[schemars(extend("default" = "1h"))]
    pub certificate_ttl: Option<GoDuration>,
    /// The time between renewals of credentials. Ignored in oneshot mode.
    #[schemars(extend("default" = "20m"))]
    pub renewal_interval: Option<GoDuration>,
    /// Writes all outputs once and then exits, instead of running continuously.
    #[schemars(extend("default" = false, "x-sensitivity" = "category"))]
    pub oneshot: Option<bool>,
    /// Restricts cryptography to FIPS 140 validated modules. Requires a FIPS build.
    #[schemars(extend("default" = false))]
    pub fips: Option<Switch>,
    /// The address on which to serve health checks and metrics, as `host:port`. If unset, they are not served.
    #[schemars(example = "127.0.0.1:3001")]
    pub diag_addr: Option<Location>,
    /// Opts in to anonymous usage telemetry: one `tbot.start` event at each start. Its contents are documented in
    /// docs/telemetry.md.
    #[schemars(extend("default" = false, "x-sensitivity" = "tuning"))]
    pub anonymous_telemetry_opt_in: Option<bool>,
}

string_enum! {
    /// The version of the configuration format.
    #[sensitivity = Category]
    pub enum VersionV1 {
        /// Version 1, which has `destinations`.
        V1 = "v1",
        /// An empty string, which means version 1.
        Unset = "",
    }
}

/// Where the bot stores its own identity. Exactly one of `directory` and `memory` must be set.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct StorageV1 {
    /// A directory on disk, as its path or as a map with `path`.
    pub directory: Option<DirectoryV1>,
    /// The memory of the agent, as `true` or as an empty map.
    pub memory: Option<MemoryV1>,
}

/// An output and where to write it. Exactly one of `directory` and `memory` must be set, and at most one of `app`,
/// `database`, `kubernetes_cluster` and the template `ssh_host_cert`.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "category"))]
#[expect(missing_docs, reason = "the description of `roles` in the schema is that of its type")]
pub struct DestinationV1 {
    /// A directory on disk, as its path or as a map with `path`.
    pub directory: Option<DirectoryV1>,
    /// The memory of the agent, as `true` or as an empty map.
    pub memory: Option<MemoryV1>,
    /// The templates of the files to write.
    #[schemars(extend("x-sensitivity" = "tuning"))]
    pub configs: Option<Vec<TemplateV1>>,
    pub roles: Option<Roles>,
    /// The leaf cluster for which to issue credentials.
    pub cluster: Option<Identifier>,
    /// The name of the application for which to issue credentials.
    pub app: Option<Identifier>,
    /// The database for which to issue credentials.
    pub database: Option<DatabaseV1>,
    /// The name of the Kubernetes cluster for which to issue credentials.
    pub kubernetes_cluster: Option<Identifier>,
}

/// A database.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct DatabaseV1 {
    /// The name of the database service in the cluster.
    pub service: Option<Identifier>,
    /// The name of the database on the database server.
    pub database: Option<Identifier>,
    /// The database user to log in as.
    pub username: Option<Identifier>,
}

/// A directory on disk, in the long form.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct DirectoryBlockV1 {
    /// The path of the directory.
    pub path: Option<Location>,
    /// How to treat symbolic links in the path.
    #[schemars(extend("default" = "try-secure"))]
    #[serde(default, deserialize_with = "closed_types::unless_empty")]
    pub symlinks: Option<SymlinkMode>,
    /// Whether to check and manage access control lists (ACLs). Defaults to `off` on platforms other than Linux.
    #[schemars(extend("default" = "try"))]
    #[serde(default, deserialize_with = "closed_types::unless_empty")]
    pub acls: Option<AclMode>,
}

/// A map without options.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct NoOptions {}

string_enum! {
    /// A template of the files to write.
    #[sensitivity = Tuning]
    pub enum TemplateName {
        /// The certificate authorities of the cluster.
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
        /// The certificates under the file names that CockroachDB expects.
        Cockroach = "cockroach",
    }
}

/// A template with options, written as a map with one key.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct TemplateBlockV1 {
    /// The certificate authorities of the cluster.
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
    /// The certificates under the file names that CockroachDB expects.
    pub cockroach: Option<NoOptions>,
}

/// Options of the template `ssh_host_cert`.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-sensitivity" = "tuning"))]
pub struct SshHostCertV1 {
    /// The host names for which the certificate is valid. At least one is required.
    #[schemars(extend("x-sensitivity" = "tuning"))]
    pub principals: Option<Vec<Identifier>>,
}

/// Declares a type that can be written as a scalar or as a map.
macro_rules! scalar_or_map {
    (
        $(#[$doc:meta])*
        enum $name:ident { $scalar_variant:ident($scalar:ty), $map_variant:ident($map:ty) }, $scalar_pattern:pat
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $name {
            /// A scalar.
            $scalar_variant($scalar),
            /// A map.
            $map_variant($map),
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = Value::deserialize(deserializer)?;
                match value {
                    $scalar_pattern => strict::from_value(&value).map(Self::$scalar_variant),
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
                    "if": { "type": "object" },
                    "then": generator.subschema_for::<$map>(),
                    "else": generator.subschema_for::<$scalar>(),
                    "x-sensitivity": "location",
                })
            }
        }
    };
}

scalar_or_map! {
    /// A directory on disk, as its path or as a map with `path`.
    enum DirectoryV1 { Path(Location), Block(DirectoryBlockV1) }, Value::String(_)
}

scalar_or_map! {
    /// The memory of the agent, as `true` or as an empty map.
    enum MemoryV1 { Flag(Switch), Block(NoOptions) }, Value::Bool(_)
}

scalar_or_map! {
    /// A template, as its name or as a map with one key.
    enum TemplateV1 { Name(TemplateName), Block(TemplateBlockV1) }, Value::String(_)
}
