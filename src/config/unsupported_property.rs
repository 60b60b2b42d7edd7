//! Marks properties that this version of the agent does not support. Depends on the scalar types.
//!
//! The schema accepts the whole format, so that any file can be validated and its event built. `tbot start` names every
//! part that is not supported and exits before it joins; docs/configuration.md marks these parts.

use super::scalar::{OptionalString as _, Switch, is_on};

/// A property that this version of the agent does not support.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UnsupportedProperty {
    /// The name of the property.
    pub(super) name: &'static str,
    /// The feature that it configures.
    pub(super) feature: &'static str,
}

/// A property that may be unsupported.
pub(super) trait IsSet {
    /// Returns whether the property is set. A boolean counts only if it is true, and a string only if it is not empty.
    fn is_set(&self) -> bool;
}

impl IsSet for Option<Switch> {
    fn is_set(&self) -> bool {
        is_on(*self)
    }
}

impl<T: AsRef<str>> IsSet for Option<T> {
    fn is_set(&self) -> bool {
        self.nonempty().is_some()
    }
}
