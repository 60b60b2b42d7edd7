//! The codes of diagnostics, in a table with one row per code. A released code keeps its name and its meaning. Depends on
//! `explanation`.
//!
//! The reason for a code, what to do about it and its examples are in `explanations/<code>.md`. A code without this file,
//! or with an incomplete one, does not compile.

use std::fmt;

use super::explanation::Explanation;

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

impl Phase {
    /// All phases, in order.
    pub const ALL: [Self; 3] = [Self::Yaml, Self::Structure, Self::Meaning];

    /// Returns the title of the phase in a list of codes.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Yaml => "YAML",
            Self::Structure => "Structure",
            Self::Meaning => "Meaning",
        }
    }

    /// Returns what a file must fulfil to pass the phase.
    #[must_use]
    pub const fn requirement(self) -> &'static str {
        match self {
            Self::Yaml => "The file must be a YAML document that contains a map.",
            Self::Structure => {
                "The map must match the JSON Schema. An editor that uses the schema reports these problems, too."
            }
            Self::Meaning => {
                "The values must follow rules that a schema cannot express, such as how they fit together."
            }
        }
    }
}

macro_rules! codes {
    ($($variant:ident $name:literal $severity:ident $phase:ident $since:literal $summary:literal;)+) => {
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

            /// Returns the version of `tbot` that was the first to report it.
            #[must_use]
            pub const fn since(self) -> &'static str {
                match self { $(Self::$variant => $since,)+ }
            }

            /// Returns the reason for it, what to do about it, and its examples.
            #[must_use]
            pub const fn explanation(self) -> &'static Explanation {
                match self {
                    $(Self::$variant => {
                        const EXPLANATION: Explanation =
                            Explanation::parse(include_str!(concat!("explanations/", $name, ".md")));
                        &EXPLANATION
                    })+
                }
            }

            /// Returns what it means, in one line. The first sentence is a title.
            #[must_use]
            pub const fn summary(self) -> &'static str {
                match self { $(Self::$variant => $summary,)+ }
            }
        }
    };
}

codes! {
    NotUtf8          "not-utf8"          Error   Yaml      "0.1.0" "The file is neither UTF-8 nor UTF-16. UTF-16 needs a byte order mark.";
    BinaryFile       "binary-file"       Error   Yaml      "0.1.0" "The file is not a text file.";
    Unreadable       "unreadable"        Error   Yaml      "0.1.0" "The file cannot be opened or read.";
    FileTooLarge     "file-too-large"    Error   Yaml      "0.1.0" "The file is larger than 4 MiB. Aliases count with their expanded size.";
    NestedTooDeep    "nested-too-deep"   Error   Yaml      "0.1.0" "Lists and maps are nested more than 64 levels deep.";
    TooManyValues    "too-many-values"   Error   Yaml      "0.1.0" "The file contains more than 500,000 values. Aliases count with their expanded size.";
    EmptyFile        "empty-file"        Error   Yaml      "0.1.0" "The file is empty or contains only comments.";
    RootNotMap       "root-not-map"      Error   Yaml      "0.1.0" "The document is a list or a scalar, not a map.";
    YamlSyntax       "yaml-syntax"       Error   Yaml      "0.1.0" "The file is not valid YAML.";
    DuplicateKey     "duplicate-key"     Error   Yaml      "0.1.0" "A map contains the same key twice.";
    MissingIndentation "missing-indentation" Error Yaml    "0.1.0" "The lines below a key are not indented. The key has no value.";
    MissingDash      "missing-dash"      Error   Yaml      "0.1.0" "An entry of a list does not start with a `-`.";
    KeyNotString     "key-not-string"    Error   Yaml      "0.1.0" "A key is not a string. It is a number, a boolean, null, a list, a map or an alias.";
    YamlTag          "yaml-tag"          Error   Yaml      "0.1.0" "A value has a tag such as `!x`.";
    NumberNotFinite  "number-not-finite" Error   Yaml      "0.1.0" "A number is infinite or NaN.";
    YamlMerge        "yaml-merge"        Error   Yaml      "0.1.0" "The value of `<<` cannot be merged. It must be a map or a list of maps.";
    AnchorRedefined  "anchor-redefined"  Error   Yaml      "0.1.0" "Two anchors have the same name.";
    DocumentsIgnored "documents-ignored" Warning Yaml      "0.1.0" "The file contains several YAML documents. Only the first is used.";
    UnknownKey       "unknown-key"       Error   Structure "0.1.0" "The map has no property with this name.";
    MissingKey       "missing-key"       Error   Structure "0.1.0" "A required property is missing.";
    WrongType        "wrong-type"        Error   Structure "0.1.0" "A value has the wrong type for its property.";
    UnknownValue     "unknown-value"     Error   Structure "0.1.0" "A value is not one of those that its property accepts.";
    InvalidFormat    "invalid-format"    Error   Structure "0.1.0" "A string does not have the form that is required. A duration, for example, is a number and a unit.";
    UnknownVersion   "unknown-version"   Error   Structure "0.1.0" "The value of `version` is not a known format version.";
    MissingVersion   "missing-version"   Error   Structure "0.1.0" "`version: v2` is missing. `services` and `outputs` require it.";
    OtherDocument    "other-document"    Error   Structure "0.1.0" "The file is not a configuration of `tbot`. It is, for example, a manifest that contains one, a resource of Teleport, or a single service.";
    InvalidV1        "invalid-v1"        Error   Meaning   "0.1.0" "A destination of version 1 cannot be converted. It combines settings that version 2 does not have.";
    EmptyValue       "empty-value"       Error   Meaning   "0.1.0" "A required string or list is empty.";
    ExactlyOne       "exactly-one"       Error   Meaning   "0.1.0" "None or several of the alternatives are set. Exactly one is required.";
    MutuallyExclusive "mutually-exclusive" Error Meaning   "0.1.0" "Two mutually exclusive properties are both set.";
    RequiresOther    "requires-other"    Error   Meaning   "0.1.0" "A property requires another one, which is missing.";
    IncompleteLifetime "incomplete-lifetime" Error Meaning "0.1.0" "A service sets only one of two times. It must set both `credential_ttl` and `renewal_interval`, or neither.";
    NegativeDuration "negative-duration" Error   Meaning   "0.1.0" "A lifetime, an interval or a timeout is negative.";
    TtlBelowInterval "ttl-below-interval" Error  Meaning   "0.1.0" "Credentials expire before they are renewed. Only a warning for the top-level values, or if both times are equal.";
    TtlTooLong       "ttl-too-long"      Error   Meaning   "0.1.0" "Credentials would live longer than clusters allow. The limit is 168h. Only a warning for the top-level values. Only a note above 24h, the limit of clusters older than Teleport 17.5.";
    IntervalTooShort "interval-too-short" Warning Meaning  "0.1.0" "Less than 10 seconds pass between two renewals.";
    SessionTooLong   "session-too-long"  Error   Meaning   "0.1.0" "An AWS session has an unusable duration. It would last longer than 12h, or expire before it is renewed.";
    NotScoped        "not-scoped"        Error   Meaning   "0.1.0" "A scoped bot does not support a part of the file. It can use only some service types and properties.";
    UnsupportedDestination "unsupported-destination" Error Meaning "0.1.0" "A service cannot write to a destination of this type.";
    InvalidName      "invalid-name"      Error   Meaning   "0.1.0" "A service name is reserved or not valid. It may contain only `a-z`, `0-9`, `_`, `-` and `+`.";
    DuplicateName    "duplicate-name"    Error   Meaning   "0.1.0" "Two services have the same name. It may be configured or generated.";
    InvalidCaPin     "invalid-ca-pin"    Error   Meaning   "0.1.0" "A pin of a certificate authority is not valid. It must be `sha256:` and 64 hexadecimal digits. Only a warning if the port is one that proxies usually have, or if there is no address.";
    InvalidAddress   "invalid-address"   Error   Meaning   "0.1.0" "A value is not a valid URL, address or network.";
    InvalidArn       "invalid-arn"       Error   Meaning   "0.1.0" "A value is not a valid ARN or AWS region.";
    InvalidTemplate  "invalid-template"  Error   Meaning   "0.1.0" "A template is not valid. It cannot be parsed, or uses an unknown variable or function.";
    InvalidKubernetesName "invalid-kubernetes-name" Error Meaning "0.1.0" "A value is not a valid Kubernetes name.";
    InvalidJoinUri   "invalid-join-uri"  Error   Meaning   "0.1.0" "The join URI is not valid. Its form is `tbot+proxy+METHOD://TOKEN@HOST:PORT`.";
    JoinUriConflict  "join-uri-conflict" Error   Meaning   "0.1.0" "The join URI contradicts another property.";
    MissingJoinMethod "missing-join-method" Error Meaning  "0.1.0" "The agent cannot start without a join method. Only a note in `tbot validate`, because a flag can set it.";
    MissingAddress   "missing-address"   Error   Meaning   "0.1.0" "The agent cannot start without an address. That of a proxy or an auth server must be set. Only a note in `tbot validate`, because a flag or a variable can set it.";
    MissingToken     "missing-token"     Error   Meaning   "0.1.0" "The join method requires the name of a join token. Only a note in `tbot validate`, because a flag or a variable can set it.";
    MissingNamespace "missing-namespace" Error   Meaning   "0.1.0" "A Kubernetes Secret has no namespace. `POD_NAMESPACE` is not set, either. Only a note in `tbot validate`.";
    NestedDestination "nested-destination" Error Meaning   "0.1.0" "A destination is inside another one or the storage. The agent would overwrite it.";
    FileInDestination "file-in-destination" Warning Meaning "0.1.0" "The agent reads a file from one of its destinations. An error if it would overwrite the file.";
    NotSupported     "not-supported"     Warning Meaning   "0.1.0" "This version cannot run a part of the configuration. `tbot start` names it and exits.";
    Version1         "version-1"         Note    Meaning   "0.1.0" "The file uses version 1 of the format. Teleport 19 and newer do not read it; it is converted to version 2.";
    Deprecated       "deprecated"        Note    Meaning   "0.1.0" "A property, value or type has a newer replacement.";
    NothingToDeliver "nothing-to-deliver" Note   Meaning   "0.1.0" "No credentials are delivered. There are no services, or credentials are written only to memory, which is lost when the program exits.";
    PathIsUri        "path-is-uri"       Warning Meaning   "0.1.0" "The path of a destination is a URI. The agent would create a directory of that name.";
    Placeholder      "placeholder"       Warning Meaning   "0.1.0" "A template or a placeholder was not filled in. An error if it cannot be parsed.";
    StrayCharacter   "stray-character"   Warning Meaning   "0.1.0" "A value contains a stray character. It is a typographic quotation mark, an invisible character, or a space or line break at one end.";
    UnusualPort      "unusual-port"      Warning Meaning   "0.1.0" "A proxy has the usual port of another server. `tbot` uses the port of the proxy's web UI.";
    SecretLooksLikePath "secret-looks-like-path" Warning Meaning "0.1.0" "A registration secret looks like a path. It is used as it is written; `registration_secret_path` names a file.";
    NotExpanded      "not-expanded"      Warning Meaning   "0.1.0" "A variable or `~` in a value is not expanded. The value contains `${...}` or `$NAME`, or starts with `~`.";
    HttpScheme       "http-scheme"       Warning Meaning   "0.1.0" "The address of the cluster begins with `http://`. The connection uses TLS anyway.";
    AddressWithoutPort "address-without-port" Warning Meaning "0.1.0" "An address has no port; 443 is assumed.";
    AddressWithoutHost "address-without-host" Note Meaning "0.1.0" "A tunnel or application proxy listens without a host. 127.0.0.1 is assumed; Teleport's own agent listens on all addresses.";
    BothAddresses    "both-addresses"    Warning Meaning   "0.1.0" "Both a proxy and an auth server are set. `proxy_server` is used.";
    WildcardName     "wildcard-name"     Warning Meaning   "0.1.0" "The name of a resource contains a `*`. Names are compared exactly, so nothing is selected.";
    SameDestination  "same-destination"  Warning Meaning   "0.1.0" "Two services write to the same destination. They write a file of the same name, or to one Kubernetes Secret. An error if one of them is the storage.";
    UnusedBlock      "unused-block"      Warning Meaning   "0.1.0" "A block has no effect. It belongs to another join method. Only a note for an attestor that is not enabled.";
    UnusedAuthorities "unused-authorities" Warning Meaning "0.1.0" "`ca_pins` or `ca_path` has no effect. It applies only to an auth server, and `proxy_server` is set.";
    RelativeTokenPath "relative-token-path" Warning Meaning "0.1.0" "A token looks like a relative path. Only an absolute path is read as a file.";
    WeakerThanPlatform "weaker-than-platform" Warning Meaning "0.1.0" "A setting gives less protection than possible. The platform supports a better value of `symlinks` or `acls`.";
    InsecureConnection "insecure-connection" Warning Meaning "0.1.0" "Any certificate from the cluster is accepted. The cause is `insecure: true`.";
    UnverifiedAuthServer "unverified-auth-server" Warning Meaning "0.1.0" "The auth server cannot be verified. Neither `ca_pins` nor `ca_path` is set, and the port is not one that proxies usually have.";
    StorageInMemory  "storage-in-memory" Warning Meaning   "0.1.0" "The identity is lost when the agent exits. The join token or the registration secret can be used only once, so the next start cannot join.";
    ExposedListener  "exposed-listener"  Warning Meaning   "0.1.0" "A listener lets other machines act as the bot.";
    SameListener     "same-listener"     Error   Meaning   "0.1.0" "Two listeners have the same address.";
    NotInOneshot     "not-in-oneshot"    Warning Meaning   "0.1.0" "A service of this type has no effect in oneshot mode.";
}

impl Code {
    /// Returns the first sentence of the summary, without a full stop.
    #[must_use]
    pub fn title(self) -> &'static str {
        let summary = self.summary();
        summary.split_once(". ").map_or(summary.trim_end_matches('.'), |(title, _)| title)
    }

    /// Returns the code with a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name() == name)
    }
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
    fn a_code_is_found_by_its_name() {
        for code in Code::ALL {
            assert_eq!(Code::from_name(code.name()), Some(*code));
        }
        assert_eq!(Code::from_name("no-such-code"), None);
    }

    #[test]
    fn summaries_are_sentences_of_one_line() {
        for code in Code::ALL {
            let is_line = code.summary().ends_with('.') && !code.summary().contains('\n');
            assert!(is_line, "the summary of {code} must be one line that ends with a full stop");
        }
    }

    #[test]
    fn a_code_is_as_old_as_this_version_or_older() {
        let numbers = |version: &str| -> Option<[u32; 3]> {
            let numbers: Vec<u32> = version.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
            numbers.try_into().ok()
        };
        let this = env!("CARGO_PKG_VERSION");
        for code in Code::ALL {
            let since = code.since();
            let is_known = numbers(since).is_some_and(|since| Some(since) <= numbers(this));
            assert!(is_known, "{code}: `{since}` must be a version up to {this}, that of Cargo.toml");
        }
    }
}
