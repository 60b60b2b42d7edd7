//! The codes of diagnostics, in a table with one row per code. Depends on nothing. A released code keeps its name and its
//! meaning.

use std::fmt;

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// The configuration can be used, but does not do what it appears to do, or cannot be started by this version.
    Warning,
    /// The configuration can be used. The finding is worth knowing, and never makes validation fail.
    Note,
}

impl Severity {
    /// Returns `error`, `warning` or `note`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

/// The phase of validation that reports a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Parsing as YAML.
    Yaml,
    /// Validation against the schema: names, types, patterns.
    Structure,
    /// Checks that the schema cannot express, such as how values relate to each other.
    Meaning,
}

macro_rules! codes {
    ($($variant:ident $name:literal $severity:ident $phase:ident $summary:literal;)+) => {
        /// Identifies a kind of finding. People can search for it, and programs can filter by it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = $summary] $variant,)+
        }

        impl Code {
            /// All codes, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Returns the name used in the output, in kebab case.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// Returns the default severity, which a check may override.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)+ }
            }

            /// Returns the phase of validation that reports it.
            #[must_use]
            pub const fn phase(self) -> Phase {
                match self { $(Self::$variant => Phase::$phase,)+ }
            }

            /// Returns a one-line description for the documentation.
            #[must_use]
            pub const fn summary(self) -> &'static str {
                match self { $(Self::$variant => $summary,)+ }
            }
        }
    };
}

codes! {
    NotUtf8          "not-utf8"          Error   Yaml      "The file is not UTF-8.";
    BinaryFile       "binary-file"       Error   Yaml      "The file is not a text file.";
    Unreadable       "unreadable"        Error   Yaml      "The file cannot be opened or read.";
    FileTooLarge     "file-too-large"    Error   Yaml      "The file is larger than 4 MiB, possibly after alias expansion.";
    NestedTooDeep    "nested-too-deep"   Error   Yaml      "Lists and maps are nested more than 64 levels deep.";
    TooManyValues    "too-many-values"   Error   Yaml      "The file contains more than 500,000 values after alias expansion.";
    EmptyFile        "empty-file"        Error   Yaml      "The file is empty or contains only comments.";
    RootNotMap       "root-not-map"      Error   Yaml      "The document is a list or a scalar, not a map.";
    YamlSyntax       "yaml-syntax"       Error   Yaml      "The file is not valid YAML.";
    DuplicateKey     "duplicate-key"     Error   Yaml      "A map contains the same key twice.";
    MissingIndentation "missing-indentation" Error Yaml    "A key has no value, because what belongs to it is not indented.";
    MissingDash      "missing-dash"      Error   Yaml      "An entry of a list does not start with a `-`.";
    KeyNotString     "key-not-string"    Error   Yaml      "A key is a number, a boolean, null, a list, a map or an alias.";
    YamlTag          "yaml-tag"          Error   Yaml      "A value has a tag such as `!x`.";
    NumberNotFinite  "number-not-finite" Error   Yaml      "A number is infinite or NaN.";
    YamlMerge        "yaml-merge"        Error   Yaml      "The value of `<<` is neither a map nor a list of maps.";
    AnchorRedefined  "anchor-redefined"  Error   Yaml      "Two anchors have the same name.";
    DocumentsIgnored "documents-ignored" Warning Yaml      "The file contains more than one YAML document; only the first is used.";
    UnknownKey       "unknown-key"       Error   Structure "The map has no property with this name.";
    MissingKey       "missing-key"       Error   Structure "A required property is missing.";
    WrongType        "wrong-type"        Error   Structure "A value has the wrong type for its property.";
    UnknownValue     "unknown-value"     Error   Structure "A value is not one of those that its property accepts.";
    InvalidFormat    "invalid-format"    Error   Structure "A string does not have the format that its property requires, such as a duration.";
    UnknownVersion   "unknown-version"   Error   Structure "The value of `version` is not a known format version.";
    MissingVersion   "missing-version"   Error   Structure "The file has `services` or `outputs`, but not `version: v2`, which they require.";
    InvalidV1        "invalid-v1"        Error   Meaning   "A destination of version 1 cannot be converted to version 2.";
    EmptyValue       "empty-value"       Error   Meaning   "A required string or list is empty.";
    ExactlyOne       "exactly-one"       Error   Meaning   "Exactly one of two properties must be set, but neither or both are.";
    MutuallyExclusive "mutually-exclusive" Error Meaning   "Two mutually exclusive properties are both set.";
    RequiresOther    "requires-other"    Error   Meaning   "A property requires another one, which is missing.";
    IncompleteLifetime "incomplete-lifetime" Error Meaning "A service sets only one of `credential_ttl` and `renewal_interval`.";
    NegativeDuration "negative-duration" Error   Meaning   "A lifetime, an interval or a timeout is negative.";
    TtlBelowInterval "ttl-below-interval" Error  Meaning   "Credentials expire before they are renewed. Only a warning for the top-level values, or if both times are equal.";
    TtlTooLong       "ttl-too-long"      Error   Meaning   "Credentials would live longer than clusters allow (168h). Only a warning for the top-level values. Only a note above 24h, the limit of clusters older than Teleport 17.5.";
    IntervalTooShort "interval-too-short" Warning Meaning  "Credentials are renewed more often than every 10 seconds.";
    SessionTooLong   "session-too-long"  Error   Meaning   "An AWS session would last longer than 12h, or expire before it is renewed.";
    NotScoped        "not-scoped"        Error   Meaning   "A scoped bot does not support this service type or property.";
    UnsupportedDestination "unsupported-destination" Error Meaning "A service cannot write to a destination of this type.";
    InvalidName      "invalid-name"      Error   Meaning   "A service name is reserved, or contains characters other than `a-z`, `0-9`, `_`, `-` and `+`.";
    DuplicateName    "duplicate-name"    Error   Meaning   "Two services have the same name, whether configured or generated.";
    InvalidCaPin     "invalid-ca-pin"    Error   Meaning   "A pin of a certificate authority is not `sha256:` and 64 hexadecimal digits. Only a warning unless the address is that of an auth server.";
    InvalidAddress   "invalid-address"   Error   Meaning   "A value is not a valid URL, address or network.";
    InvalidArn       "invalid-arn"       Error   Meaning   "A value is not a valid ARN or AWS region.";
    InvalidTemplate  "invalid-template"  Error   Meaning   "A template cannot be parsed, or uses an unknown variable.";
    InvalidKubernetesName "invalid-kubernetes-name" Error Meaning "A value is not a valid Kubernetes name.";
    InvalidJoinUri   "invalid-join-uri"  Error   Meaning   "The join URI does not have the form `tbot+proxy+METHOD://TOKEN@HOST:PORT`.";
    JoinUriConflict  "join-uri-conflict" Error   Meaning   "The join URI and another property contradict each other.";
    MissingJoinMethod "missing-join-method" Error Meaning  "The agent cannot start without a join method. Only a note in `tbot validate`, because a flag can set it.";
    MissingAddress   "missing-address"   Error   Meaning   "The agent cannot start without the address of a proxy or an auth server. Only a note in `tbot validate`, because a flag or a variable can set it.";
    MissingToken     "missing-token"     Error   Meaning   "The join method requires the name of a join token. Only a note in `tbot validate`, because a flag or a variable can set it.";
    MissingNamespace "missing-namespace" Error   Meaning   "A Kubernetes Secret has no namespace, and `POD_NAMESPACE` is not set. Only a note in `tbot validate`.";
    NestedDestination "nested-destination" Error Meaning   "A destination is inside the storage, or inside a file or directory that another service overwrites.";
    FileInDestination "file-in-destination" Warning Meaning "The agent reads a file from a directory that it writes to. An error if it would overwrite the file.";
    NotSupported     "not-supported"     Warning Meaning   "This version of tbot cannot run a part of the configuration. `tbot start` names it and exits.";
    Version1         "version-1"         Note    Meaning   "The file uses version 1, which Teleport 19 and newer do not read; it is converted to version 2.";
    Deprecated       "deprecated"        Note    Meaning   "A property, value or type has been replaced by another one.";
    NothingToDeliver "nothing-to-deliver" Note   Meaning   "There are no services, or credentials are written only to memory, which is lost when the program exits.";
    Placeholder      "placeholder"       Warning Meaning   "A value looks like a template or a placeholder that was not filled in. An error if it cannot be parsed.";
    NotExpanded      "not-expanded"      Warning Meaning   "A value contains `${...}` or `$NAME`, or starts with `~`, none of which is expanded.";
    AddressWithoutPort "address-without-port" Warning Meaning "An address has no port; 443 is assumed.";
    BothAddresses    "both-addresses"    Warning Meaning   "Both `proxy_server` and `auth_server` are set; `proxy_server` is used.";
    SameDestination  "same-destination"  Warning Meaning   "Two services write to the same destination. An error if one of them is the storage.";
    UnusedBlock      "unused-block"      Warning Meaning   "A block belongs to a join method other than the configured one.";
    RelativeTokenPath "relative-token-path" Warning Meaning "A token looks like a file path, but only an absolute path is read as a file.";
    WeakerThanPlatform "weaker-than-platform" Warning Meaning "`symlinks` or `acls` gives less protection than this platform offers.";
    InsecureConnection "insecure-connection" Warning Meaning "`insecure: true` accepts any certificate from the proxy or auth server.";
    StorageInMemory  "storage-in-memory" Warning Meaning   "The join token can be used only once, but the identity is lost when the agent exits.";
    NotInOneshot     "not-in-oneshot"    Warning Meaning   "A service of this type has no effect in oneshot mode.";
}

impl fmt::Display for Code {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_in_kebab_case() {
        let names: HashSet<_> = Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for name in names {
            assert!(name.split('-').all(|word| !word.is_empty()), "{name}");
            assert!(name.chars().all(|letter| matches!(letter, 'a'..='z' | '0'..='9' | '-')), "{name}");
        }
    }

    #[test]
    fn summaries_are_sentences_of_one_line() {
        for code in Code::ALL {
            assert!(code.summary().ends_with('.') && !code.summary().contains('\n'), "{code}");
        }
    }
}
