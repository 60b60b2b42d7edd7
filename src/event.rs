//! The `tbot.start` event: one declaration per property, and a pure builder that executes the declarations.
//!
//! Performs no I/O, does not use tokio, and reads the *value* of the effective configuration only at the pointers in the
//! `x-source` keywords.
//!
//! A reviewer needs to read only one file, the [declarations](TbotStart). `schema/tbot.start.schema.json` is generated from
//! them, and the builder's rules, the preview's provenance, the request body, the documentation and the checks of a receiver
//! are all derived from that schema.
//!
//! To obtain a [`TbotStart`], build it: deserializing one checks neither the patterns of its strings nor the ranges of its counts.
//!
//! # Example
//!
//! Builds the event of a start, and the body of the request that would submit it.
//!
//! ```
//! use tbot::config::{Purpose, load};
//! use tbot::event::{BuildContext, BuiltEvent};
//!
//! let yaml = "
//!     version: v2
//!     proxy_server: teleport.example.com:443
//!     onboarding: {join_method: token, token: a-token}
//!     services:
//!       - type: identity
//!         destination: {type: directory, path: /opt/machine-id}
//! ";
//! let effective = load(Some(yaml), &[], Purpose::Start).effective.ok_or("not valid")?;
//! let variable = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
//! let context = BuildContext { version: "1.2.3", environment: &variable };
//! let built = BuiltEvent::for_config(&effective, context)?;
//! for property in built.properties() {
//!     println!("{} = {:?}, from {:?}", property.name, property.value, property.provenance);
//! }
//! let body = built.request_body("00000000-0000-4000-8000-000000000000")?;
//! assert!(!body.to_string().contains("a-token"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod audit;
mod builder;
mod declaration;
#[doc(hidden)]
pub mod internal;
mod pattern;
mod request_body;
mod rules;
mod vocabulary;

pub use builder::{BuildContext, BuildError, BuiltEvent, EnvOutcome, EventProperty, Provenance};
pub use declaration::{EVENT_VERSION, Helper, RunMode, TbotStart};
pub use rules::{RulesError, SCHEMA};
