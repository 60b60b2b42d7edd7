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
