//! The macro that declares the struct of a map of the configuration. Depends on unsupported properties.

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
            pub(in crate::config) const UNSUPPORTED: &'static [crate::config::unsupported_property::UnsupportedProperty] = &[
                $($(crate::config::unsupported_property::UnsupportedProperty {
                    name: stringify!($field),
                    feature: $feature,
                },)?)*
            ];

            /// Returns the unsupported properties that are set. Not public: the compiler warns if nothing asks a struct for them.
            pub(in crate::config) fn unsupported_properties(&self) -> Vec<crate::config::unsupported_property::UnsupportedProperty> {
                let are_set: &[bool] = &[
                    $($({
                        // Names the feature, so that only unsupported properties are listed.
                        let _: &str = $feature;
                        crate::config::unsupported_property::IsSet::is_set(&self.$field)
                    },)?)*
                ];
                let properties = Self::UNSUPPORTED.iter().zip(are_set);
                properties.filter(|(_, is_set)| **is_set).map(|(property, _)| *property).collect()
            }
        }
    };
}
pub(super) use map;
