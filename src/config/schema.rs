//! The JSON Schemas of the configuration: generated from the types, embedded in the program, and queried by pointer, and
//! compared with values.

mod embedded;
mod generate;
mod lookup;
mod nullable;
mod violations;

pub use embedded::{CONFIG, CONFIG_V1, FormatVersion};
pub(crate) use generate::generate_root;
pub use generate::{generate, generate_v1};
pub(super) use lookup::{accepts, locate_branch};
pub use lookup::{class_of, is_union, locate, property_class, resolve, union_branches};
pub use violations::{SchemaViolation, ViolatedKeyword, violations};
