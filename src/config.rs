//! The configuration of `tbot`: its types, from which the JSON Schemas are generated, and the loading and checking of
//! files.
//!
//! May depend on `yaml`, `diagnostic` and `pointer`. Performs no I/O: it never reads a file, the environment or a
//! clock, and it uses neither tokio nor `event`.
//!
//! # Example
//!
//! Validates the contents of a file, and renders what is wrong with it.
//!
//! ```
//! use tbot::config::{Purpose, load};
//! use tbot::diagnostic::{Code, Report, ReportFormat, SourceFile, Terminal, render};
//!
//! let yaml = "version: v2\nproxy_server: teleport.example.com:443\nonboarding: {join_methd: github, token: ci}\n";
//! let loaded = load(Some(yaml), &[], Purpose::Validate);
//! assert!(loaded.effective.is_none());
//!
//! let disclosure = loaded.disclosure();
//! let source = SourceFile::new("tbot.yaml", yaml, &disclosure);
//! let report = Report::new(&source, loaded.diagnostics);
//! assert!(report.diagnostics().any(|diagnostic| diagnostic.code == Code::UnknownKey));
//!
//! let mut output = String::new();
//! render(&mut output, ReportFormat::Human, Terminal::default(), &[report])?;
//! assert!(output.contains("join_methd"));
//! # Ok::<(), std::fmt::Error>(())
//! ```

mod address;
mod checks;
pub(crate) mod closed_types;
mod consequences;
mod context_name;
mod convert_v1;
mod destination;
mod disclosure;
mod document;
mod duration;
mod go_template;
#[cfg(test)]
mod growth;
mod help_v1;
mod hints;
#[doc(hidden)]
pub mod internal;
mod join_settings;
mod join_uri;
mod json_path;
mod listen_uri;
mod load;
mod load_options;
mod map;
mod nested_map;
mod onboarding;
mod overlap;
mod overrides;
mod placeholder_forms;
mod provenance;
mod repair;
mod scalar;
pub(crate) mod schema;
mod service;
mod service_names;
mod stray_character;
mod strict;
mod strings;
mod structure;
mod token_request;
mod unsupported;
mod unsupported_property;
mod v1;
mod v2;
mod variables;
mod vocabulary;
mod words;

pub use address::{Address, AddressError, ListenAddress, is_loopback_host};
pub use context_name::ContextName;
pub use destination::{AclMode, Destination, Directory, KubernetesSecret, Memory, Reader, SymlinkMode};
pub use disclosure::FileDisclosure;
pub use duration::{GoDuration, InvalidDuration};
pub use join_settings::{
    AzureJoin, BoundKeypairJoin, GenericOidcJoin, GitlabJoin, KubernetesJoin, TerraformJoin,
};
pub use json_path::{JsonPath, JsonPathError};
pub use listen_uri::{ListenUri, ListenUriError};
pub use load::{EffectiveConfig, LoadOutcome, load};
pub use load_options::{LoadOptions, ProcessContext, Purpose};
pub use onboarding::{JoinMethod, Onboarding, SupportedJoinMethod};
pub use overlap::Overlap;
pub use overrides::Override;
pub use provenance::{Origin, Origins, OverrideSource};
pub(crate) use scalar::Sensitivity;
pub use scalar::{
    ByteLimit, Identifier, Location, OptionalString, Port, Principal, Secret, Setting, Switch, SystemId,
    is_on,
};
pub use schema::{CONFIG as SCHEMA, CONFIG_V1 as SCHEMA_V1};
pub(crate) use service::file_names;
pub use service::{
    AccessClass, CredentialLifetime, Roles, Service, ServiceFields, ServiceType, SupportedService,
    attestation::*, credentials::*, kubernetes::*, network::*, spiffe::*, ssh::*, workload_identity::*,
};
pub use service_names::NamedService;
pub use token_request::{TokenHttpRequest, TokenLocation, TokenRequestTarget, TokenUrlError};
pub use unsupported::UnsupportedPart;
/// Use the one that [`load`] returns: `load` applies `join_uri` and checks what the types cannot express. To set a value in code, pass
/// an [`Override`] to it.
pub use v2::Config;
pub use v2::{
    DEFAULT_CREDENTIAL_TTL, DEFAULT_LEEWAY, DEFAULT_RENEWAL_INTERVAL, DEFAULT_STORAGE_PATH, VersionV2,
};
