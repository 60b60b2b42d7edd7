//! Marks properties that this version of the agent does not support. Depends on the scalar types.
//!
//! The schema accepts the whole format, so that any file can be validated and its event built. `tbot start` names every
//! part that is not supported and exits before it joins; docs/configuration.md marks these parts.

use super::duration::GoDuration;
use super::scalar::{Identifier, Location, Secret, Setting, Switch, is_on};

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
    /// Returns whether the property is set. A boolean counts only if it is true.
    fn is_set(&self) -> bool;
}

impl IsSet for Option<Switch> {
    fn is_set(&self) -> bool {
        is_on(*self)
    }
}

macro_rules! impl_is_set {
    ($($type:ty),+) => {
        $(impl IsSet for Option<$type> {
            fn is_set(&self) -> bool {
                self.is_some()
            }
        })+
    };
}

impl_is_set!(Secret, Identifier, Location, Setting, GoDuration);
