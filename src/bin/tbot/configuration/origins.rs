//! Describes, for messages, where the values of a configuration come from.

use tbot::config::{EffectiveConfig, Origin, Override, OverrideSource};
use tbot::pointer::Pointer;
use tbot::untrusted::escape;
use tbot::yaml::internal::Positions;

use super::Configuration;

/// Describes where values come from. Parses the YAML once, when it is created.
pub(crate) struct OriginDescriber<'a> {
    configuration: &'a Configuration,
    positions: Positions<'a>,
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
    /// Describes where a value of the effective configuration comes from, such as `tbot.yaml:4` or `flag --oneshot`. A
    /// list may come from several sources.
    pub(crate) fn describe(&self, effective: &EffectiveConfig, pointer: &Pointer) -> String {
        let origins = effective.origins();
        let in_file = match origins.of(pointer) {
            Origin::File(pointer) => pointer,
            Origin::Override(OverrideSource::Flag(name)) => return format!("flag {name}"),
            Origin::Override(OverrideSource::Variable(name)) => return format!("variable {name}"),
            Origin::Override(command @ OverrideSource::Command(_)) => return command.to_string(),
            Origin::Override(OverrideSource::JoinUri) => match origins.of(&Pointer::root().key("join_uri")) {
                Origin::Override(input) => return format!("join URI in {input}"),
                Origin::File(pointer) => pointer,
            },
        };
        let (name, in_file) = (escape(&self.configuration.name), in_file.as_str());
        let line = self.positions.key(in_file).or_else(|| self.positions.value(in_file));
        let line = line.map(|span| format!("{name}:{}", span.start.line));
        let appended_by = origins.entry_sources(pointer).map(OverrideSource::to_string);
        let sources: Vec<String> = line.into_iter().chain(appended_by).collect();
        if sources.is_empty() { name.into_owned() } else { sources.join(" and ") }
    }
}
