//! Describes, for messages and for programs, where the values of a configuration come from.

use std::fmt;

use tbot::config::{EffectiveConfig, Origin, Override, OverrideSource};
use tbot::pointer::Pointer;
use tbot::untrusted::escape;
use tbot::yaml::internal::Positions;

use super::Configuration;

/// Finds where values come from. Parses the YAML once, when it is created.
pub(crate) struct OriginDescriber<'a> {
    configuration: &'a Configuration,
    positions: Positions<'a>,
}

/// A source of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ValueOrigin {
    /// The configuration file.
    File {
        /// The name of the file, as in messages.
        name: String,
        /// The line and the column of the value's key, if the file has it.
        position: Option<(usize, usize)>,
    },
    /// The description of a flag, a variable, a command or the join URI, such as `flag --oneshot`.
    Override(String),
}

/// `tbot.yaml:4`, or the description of an override.
impl fmt::Display for ValueOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name, position: Some((line, _)) } => write!(f, "{name}:{line}"),
            Self::File { name: text, position: None } | Self::Override(text) => f.write_str(text),
        }
    }
}

impl Configuration {
    /// Returns a describer for values of the effective configuration.
    pub(crate) fn origins(&self) -> OriginDescriber<'_> {
        OriginDescriber { configuration: self, positions: Positions::parse(&self.yaml) }
    }

    /// Returns each input that overrides a value of the file, with that value's key and line.
    pub(crate) fn overridden(&self) -> Vec<(&OverrideSource, String)> {
        if self.overrides.is_empty() || self.yaml.is_empty() {
            return Vec::new();
        }
        let positions = Positions::parse(&self.yaml);
        let overridden = |by: &Override| {
            let pointer = by.pointer().as_str();
            let span = positions.key(pointer).or_else(|| positions.value(pointer))?;
            let key = pointer.trim_start_matches('/').replace('/', ".");
            Some(format!("{key} in {}:{}", escape(&self.name), span.start.line))
        };
        self.overrides.iter().filter_map(|by| Some((by.source(), overridden(by)?))).collect()
    }
}

impl OriginDescriber<'_> {
    /// Returns where a value of the effective configuration comes from. A list may come from several sources.
    pub(crate) fn of(&self, effective: &EffectiveConfig, pointer: &Pointer) -> Vec<ValueOrigin> {
        let origins = effective.origins();
        let overridden = |text: String| vec![ValueOrigin::Override(text)];
        let in_file = match origins.of(pointer) {
            Origin::File(pointer) => pointer,
            Origin::Override(OverrideSource::Flag(name)) => return overridden(format!("flag {name}")),
            Origin::Override(OverrideSource::Variable(name)) => {
                return overridden(format!("variable {name}"));
            }
            Origin::Override(command @ OverrideSource::Command(_)) => return overridden(command.to_string()),
            Origin::Override(OverrideSource::JoinUri) => match origins.of(&Pointer::root().key("join_uri")) {
                Origin::Override(input) => return overridden(format!("join URI in {input}")),
                Origin::File(pointer) => pointer,
            },
        };
        let in_file = in_file.as_str();
        let span = self.positions.key(in_file).or_else(|| self.positions.value(in_file));
        let appended_by = origins.entry_sources(pointer);
        let mut sources: Vec<ValueOrigin> =
            appended_by.map(|source| ValueOrigin::Override(source.to_string())).collect();
        if span.is_some() || sources.is_empty() {
            let position = span.map(|span| (span.start.line, span.start.column));
            sources.insert(
                0,
                ValueOrigin::File { name: escape(&self.configuration.name).into_owned(), position },
            );
        }
        sources
    }

    /// Describes where a value of the effective configuration comes from, such as `tbot.yaml:4` or `flag --oneshot`.
    pub(crate) fn describe(&self, effective: &EffectiveConfig, pointer: &Pointer) -> String {
        let sources: Vec<String> = self.of(effective, pointer).iter().map(ValueOrigin::to_string).collect();
        sources.join(" and ")
    }
}
