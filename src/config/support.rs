//! Marks properties that this version of the agent does not support. Depends on the scalar types.
//!
//! The schema accepts the whole format, so that any file can be validated and its event built. `tbot start` names every
//! part that is not supported and exits before it joins; docs/configuration.md marks these parts.

use super::duration::GoDuration;
use super::scalar::{Identifier, Location, Secret, Setting, Switch, is_on};

/// A property that this version of the agent does not support.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnsupportedProperty {
    /// The name of the property.
    pub name: &'static str,
    /// The feature that it configures.
    pub feature: &'static str,
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

/// Declares the struct of a map of the configuration. `#[unsupported = "feature"]`, the last attribute of a property,
/// says that this version of the agent does not support it.
macro_rules! map {
    (
        $(#[doc = $doc:tt])*
        $(#[schemars($($schemars:tt)*)])*
        pub struct $name:ident {
            $(
                $(#[doc = $field_doc:tt])*
                $(#[schemars($($field_schemars:tt)*)])*
                $(#[serde($($field_serde:tt)*)])?
                $(#[unsupported = $feature:literal])?
                pub $field:ident: $type:ty,
            )*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        $(#[schemars($($schemars)*)])*
        #[allow(missing_docs, reason = "the description of `roles` in the schema is that of its type")]
        pub struct $name {
            $(
                $(#[doc = $field_doc])*
                $(#[schemars($($field_schemars)*)])*
                $(#[serde($($field_serde)*)])?
                pub $field: $type,
            )*
        }

        impl $name {
            /// The properties that this version of the agent does not support.
            pub const UNSUPPORTED: &'static [crate::config::support::UnsupportedProperty] = &[
                $($(crate::config::support::UnsupportedProperty {
                    name: stringify!($field),
                    feature: $feature,
                },)?)*
            ];

            /// Returns the unsupported properties that are set.
            pub fn unsupported_properties(&self) -> Vec<crate::config::support::UnsupportedProperty> {
                let are_set: &[bool] = &[
                    $($({
                        // Names the feature, so that only unsupported properties are listed.
                        let _: &str = $feature;
                        crate::config::support::IsSet::is_set(&self.$field)
                    },)?)*
                ];
                let properties = Self::UNSUPPORTED.iter().zip(are_set);
                properties.filter(|(_, is_set)| **is_set).map(|(property, _)| *property).collect()
            }
        }
    };
}
pub(super) use map;
