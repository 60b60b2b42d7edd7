//! The codes of diagnostics: one table, one row a code. Depends on nothing. A released code keeps its name and its meaning.

use std::fmt;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// The configuration can be used, and does not do what it seems to do, or not for long.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

/// Who finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Judge {
    /// The YAML parser.
    Yaml,
    /// The schema: names, types, patterns.
    Structure,
    /// The checks: what the fields mean together.
    Meaning,
}

macro_rules! codes {
    ($($variant:ident $name:literal $severity:ident $judge:ident $summary:literal;)+) => {
        /// What is wrong, for people who search for it and for programs that filter by it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $summary] $variant,)+
        }

        impl Code {
            /// All codes, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name in the output, in kebab case.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// How bad it is, unless a check says otherwise.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)+ }
            }

            /// Who finds it.
            #[must_use]
            pub const fn judge(self) -> Judge {
                match self { $(Self::$variant => Judge::$judge,)+ }
            }

            /// What it says, in one line for the docs.
            #[must_use]
            pub const fn summary(self) -> &'static str {
                match self { $(Self::$variant => $summary,)+ }
            }
        }
    };
}

codes! {
    NotUtf8          "not-utf8"          Error   Yaml      "The file is not UTF-8.";
    BinaryFile       "binary-file"       Error   Yaml      "The file is not a text.";
    FileTooLarge     "file-too-large"    Error   Yaml      "The file, or what its aliases expand to, is larger than 4 MiB.";
    NestedTooDeep    "nested-too-deep"   Error   Yaml      "Lists and maps are nested deeper than 64 levels.";
    TooManyValues    "too-many-values"   Error   Yaml      "There are more than 500,000 values, aliases expanded.";
    EmptyFile        "empty-file"        Error   Yaml      "The file holds nothing, or nothing but comments.";
    RootNotMap       "root-not-map"      Error   Yaml      "The document is a list or a scalar, not a map.";
    YamlSyntax       "yaml-syntax"       Error   Yaml      "The text does not follow YAML's grammar.";
    DuplicateKey     "duplicate-key"     Error   Yaml      "A key stands twice in one map.";
    KeyNotString     "key-not-string"    Error   Yaml      "A key is a number, a bool, a null, a list, a map or an alias.";
    YamlTag          "yaml-tag"          Error   Yaml      "A value has a tag such as `!x`.";
    NumberNotFinite  "number-not-finite" Error   Yaml      "A number is infinite or not a number.";
    YamlMerge        "yaml-merge"        Error   Yaml      "The value of `<<` is neither a map nor a list of maps.";
    AnchorRedefined  "anchor-redefined"  Error   Yaml      "Two anchors have one name.";
    DocumentsIgnored "documents-ignored" Warning Yaml      "The file holds further YAML documents, which are not read.";
    UnknownKey       "unknown-key"       Error   Structure "There is no property of this name here.";
    MissingKey       "missing-key"       Error   Structure "A property is required and not there.";
    WrongType        "wrong-type"        Error   Structure "A value has another type than its property.";
    UnknownValue     "unknown-value"     Error   Structure "A value is none of those that its property allows.";
    InvalidFormat    "invalid-format"    Error   Structure "A text is not written as its property wants it, such as a duration.";
    UnknownVersion   "unknown-version"   Error   Structure "The version of the configuration is not known.";
    MissingVersion   "missing-version"   Error   Structure "A file without `version` is of version 1, which has neither `services` nor `outputs`.";
    InvalidV1        "invalid-v1"        Error   Meaning   "A destination of version 1 cannot be converted to version 2.";
    EmptyValue       "empty-value"       Error   Meaning   "A text or a list that is needed is empty.";
    ExactlyOne       "exactly-one"       Error   Meaning   "Of several properties exactly one must be there, and there are none or more.";
    MutuallyExclusive "mutually-exclusive" Error Meaning   "Properties that exclude each other are there together.";
    RequiresOther    "requires-other"    Error   Meaning   "A property needs another one, which is not there.";
    IncompleteLifetime "incomplete-lifetime" Error Meaning "A service has one of `credential_ttl` and `renewal_interval` without the other.";
    NegativeDuration "negative-duration" Error   Meaning   "A duration is negative that cannot be.";
    TtlBelowInterval "ttl-below-interval" Error  Meaning   "Credentials expire before they are renewed; a warning at the top level.";
    TtlTooLong       "ttl-too-long"      Error   Meaning   "Credentials would live longer than the cluster allows, 24h; a warning at the top level.";
    SessionTooLong   "session-too-long"  Error   Meaning   "An AWS session would live longer than 12h, or no longer than its renewal interval.";
    NotScoped        "not-scoped"        Error   Meaning   "A scoped bot cannot run a service of this type, or not with this property.";
    UnsupportedDestination "unsupported-destination" Error Meaning "A service cannot write to a destination of this type.";
    InvalidName      "invalid-name"      Error   Meaning   "A service's name has other characters than `a-z`, `0-9`, `_`, `-`, `+`, or is reserved.";
    DuplicateName    "duplicate-name"    Error   Meaning   "Two services have one name, given or generated.";
    InvalidAddress   "invalid-address"   Error   Meaning   "A URL, an address or a network is not written as one.";
    InvalidArn       "invalid-arn"       Error   Meaning   "A text is no ARN or AWS region.";
    InvalidTemplate  "invalid-template"  Error   Meaning   "A template does not parse, or names a variable that is not there.";
    InvalidKubernetesName "invalid-kubernetes-name" Error Meaning "A text is no name that Kubernetes accepts.";
    InvalidJoinUri   "invalid-join-uri"  Error   Meaning   "The join URI is not of the form `tbot+proxy+METHOD://TOKEN@HOST:PORT`.";
    JoinUriConflict  "join-uri-conflict" Error   Meaning   "The join URI and another property say different things.";
    MissingJoinMethod "missing-join-method" Error Meaning  "The agent cannot start without a join method.";
    MissingAddress   "missing-address"   Error   Meaning   "The agent cannot start without the address of a proxy or an auth server.";
    Version1         "version-1"         Warning Meaning   "The file is of version 1; it is read as the version 2 that it converts to.";
    Deprecated       "deprecated"        Warning Meaning   "A property, value or type has a successor.";
    NotExpanded      "not-expanded"      Warning Meaning   "A path has `${...}` or begins with `~`; nothing is expanded.";
    AddressWithoutPort "address-without-port" Warning Meaning "An address has no port; 443 is tried.";
    BothAddresses    "both-addresses"    Warning Meaning   "`proxy_server` and `auth_server` are both there; the first one is used.";
    SameDestination  "same-destination"  Warning Meaning   "Two outputs, or an output and the storage, write to one place.";
    UnusedBlock      "unused-block"      Warning Meaning   "A block belongs to another join method than the configured one.";
    RelativeTokenPath "relative-token-path" Warning Meaning "A token looks like a file's path, but only an absolute path is read as a file.";
    WeakerThanPlatform "weaker-than-platform" Warning Meaning "`symlinks` or `acls` ask for less than this platform offers.";
    InsecureConnection "insecure-connection" Warning Meaning "`insecure: true` takes any certificate of the proxy or auth server.";
    StorageInMemory  "storage-in-memory" Warning Meaning   "A join token works once, and the identity that it gives is lost when the agent ends.";
    NotInOneshot     "not-in-oneshot"    Warning Meaning   "A service of this type does nothing in one-shot mode.";
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
            assert!(name.chars().all(|found| matches!(found, 'a'..='z' | '0'..='9' | '-')), "{name}");
        }
    }

    #[test]
    fn summaries_are_sentences_of_one_line() {
        for code in Code::ALL {
            assert!(code.summary().ends_with('.') && !code.summary().contains('\n'), "{code}");
        }
    }
}
