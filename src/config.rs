//! The configuration of `tbot`: its types, from which the JSON Schemas are generated, and the loading and checking of
//! files.
//!
//! May depend on `yaml`, `diagnostic` and `pointer`. Performs no I/O: it never reads a file, the environment or a
//! clock, and it uses neither tokio nor `event`.

mod checks;
pub(crate) mod closed_types;
mod convert_v1;
mod destination;
mod disclosure;
mod duration;
mod explain;
mod hints;
mod join_settings;
mod join_uri;
mod load;
mod onboarding;
mod overrides;
mod provenance;
mod prune;
mod scalar;
pub mod schema;
mod service;
mod strict;
mod support;
pub mod v1;
mod v2;
mod validator;
mod variables;

pub use checks::Purpose;
pub use destination::{AclMode, Destination, Directory, KubernetesSecret, Memory, Reader, SymlinkMode};
pub use disclosure::FileDisclosure;
pub use duration::{GoDuration, InvalidDuration};
pub use explain::check_structure;
pub use join_settings::{
    AzureJoin, BoundKeypairJoin, GenericOidcJoin, GitlabJoin, KubernetesJoin, TerraformJoin,
};
pub use load::{EffectiveConfig, LoadOutcome, load};
pub use onboarding::{JoinMethod, Onboarding, SupportedJoinMethod};
pub use overrides::Override;
pub use provenance::{Origin, Origins, OverrideSource};
pub use scalar::{
    ByteLimit, Identifier, Location, Port, Principal, Secret, Sensitivity, Setting, Switch, SystemId, is_on,
};
pub use schema::FormatVersion;
pub use service::*;
pub use support::UnsupportedProperty;
pub use v2::{Config, DEFAULT_CREDENTIAL_TTL, DEFAULT_RENEWAL_INTERVAL, DEFAULT_STORAGE_PATH, VersionV2};
pub use variables::EnvironmentVariables;
