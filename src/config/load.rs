//! Loads the effective configuration from the contents of a file and its overrides, in this order: YAML, version,
//! overrides, join URI, structure, meaning. Depends on every other part of the configuration.

use std::fmt;
use std::sync::Arc;

use serde_json::{Value, json};

use super::checks;
use super::consequences::Causes;
use super::disclosure::FileDisclosure;
use super::load_options::LoadOptions;
use super::overrides::Override;
use super::provenance::{Origin, Origins, OverrideSource, strip_ancestor};
use super::repair::{RepairedParts, original};
use super::schema::FormatVersion;
use super::stray_character::StrayCharacter;
use super::structure::explain;
use super::v1::ConfigV1;
use super::v2::Config;
use super::words::{self, WordPlace};
use super::{convert_v1, document, help_v1, join_uri, nested_map, strict, vocabulary};
use crate::diagnostic::{Code, Diagnostic, Severity, Target, display_key, suggest};
use crate::pointer::Pointer;
use crate::yaml;

/// The effective configuration: the file, merged with the overrides and the join URI. Its `Debug` output contains no secret.
#[derive(Clone)]
pub struct EffectiveConfig {
    config: Config,
    /// The value of the file itself if nothing changes it.
    value: Arc<Value>,
    origins: Origins,
}

impl EffectiveConfig {
    /// Returns the typed configuration, for the agent.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the same configuration as a value in version 2 of the format, for the event's declarations.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Returns where the values came from.
    pub const fn origins(&self) -> &Origins {
        &self.origins
    }
}

impl fmt::Debug for EffectiveConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The value contains the secrets of the typed configuration as they are.
        f.debug_struct("EffectiveConfig")
            .field("config", &self.config)
            .field("origins", &self.origins)
            .finish_non_exhaustive()
    }
}

/// The result of loading a configuration. Its `Debug` output contains no secret.
#[derive(Clone)]
#[non_exhaustive]
pub struct LoadOutcome {
    /// The effective configuration, or `None` if any of the diagnostics is an error.
    pub effective: Option<EffectiveConfig>,
    /// All diagnostics, in no particular order. Pointers refer to the file.
    pub diagnostics: Vec<Diagnostic>,
    file: Arc<Value>,
    version: FormatVersion,
    repaired: RepairedParts,
}

impl fmt::Debug for LoadOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadOutcome")
            .field("effective", &self.effective)
            .field("diagnostics", &self.diagnostics)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl LoadOutcome {
    /// Returns what excerpts of the file may show.
    pub fn disclosure(&self) -> FileDisclosure {
        let is_about_kind = |one: &Diagnostic| {
            one.code == Code::OtherDocument
                && one.target.pointer().is_some_and(|at| at.as_str() == document::KIND)
        };
        let is_manifest = self.diagnostics.iter().any(is_about_kind);
        FileDisclosure::new(self.version.schema(), Arc::clone(&self.file), is_manifest)
    }
}

/// Loads the effective configuration from the contents of a file, if there is one, and the overrides. The contents can be
/// bytes or a string; what [`yaml::decode`] rejects, such as a file that is too large, is a diagnostic as well.
///
/// Reports all problems at once: the meaning of a file is checked even if parts of its structure are invalid. `options` is
/// a [`Purpose`](super::Purpose) if nothing is known about the process that will use the configuration.
#[expect(
    clippy::needless_pass_by_value,
    reason = "callers have a string or bytes, and `None` needs no reference"
)]
pub fn load(
    file: Option<impl AsRef<[u8]>>,
    overrides: &[Override],
    options: impl Into<LoadOptions>,
) -> LoadOutcome {
    load_with(file.as_ref().map(AsRef::as_ref), overrides, &options.into())
}

fn load_with(file: Option<&[u8]>, overrides: &[Override], options: &LoadOptions) -> LoadOutcome {
    let mut outcome = LoadOutcome {
        effective: None,
        diagnostics: Vec::new(),
        file: Arc::new(json!({ "version": "v2" })),
        version: FormatVersion::V2,
        repaired: RepairedParts::default(),
    };
    if let Some(file) = file {
        let yaml = match yaml::decode(file) {
            Ok(yaml) => yaml,
            Err(problem) => {
                outcome.report(problem.into());
                outcome.file = Arc::new(Value::Null);
                return outcome;
            }
        };
        let (parsed, problems) = yaml::internal::parse_with_problems(&yaml);
        outcome.diagnostics = problems.into_iter().map(describe_problem).collect();
        // The entries of one list are reported once.
        outcome.diagnostics.dedup();
        let Some((mut parsed, mut unreadable)) = parsed else {
            for problem in outcome.diagnostics.iter_mut().filter(|one| one.code == Code::RootNotMap) {
                if let Some(diagnostic) = document::recognise_services(&yaml, &problem.target) {
                    *problem = diagnostic;
                }
            }
            // Nobody knows where the broken part ends.
            let syntax = outcome.diagnostics.iter_mut().rfind(|one| one.code == Code::YamlSyntax);
            if let Some(problem) = syntax {
                problem.message.push_str("; the rest of the file was not checked");
            }
            outcome.file = Arc::new(Value::Null);
            return outcome;
        };
        // A list whose entries do not start with `- ` is a map in which their keys are repeated.
        let is_list = |map: &Pointer| map.last().is_some_and(|key| vocabulary::is_list(&key));
        for list in std::mem::take(&mut unreadable.repetitive).into_iter().filter(is_list) {
            if let Some(map) = parsed.value.pointer_mut(list.as_str()) {
                *map = Value::Null;
                unreadable.values.push(list);
            }
        }
        outcome.file = Arc::new(parsed.value);
        if let Some(diagnostic) =
            document::recognise(&outcome.file, parsed.documents_ignored.then_some(&*yaml))
        {
            outcome.report(diagnostic);
            return outcome;
        }
        if parsed.documents_ignored {
            let message = "the file has several YAML documents; only the first is used";
            outcome.report(
                Diagnostic::new(Code::DocumentsIgnored, Target::File, message)
                    .with_help("remove the other documents"),
            );
        }
        outcome.repaired = unreadable.into();
    }
    let Some(version) = outcome.format_version() else { return outcome };
    outcome.version = version;
    outcome.merge(overrides, options);
    outcome
}

impl LoadOutcome {
    fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Reports the diagnostics of the checks, except those that only follow from another error.
    fn report_checks(&mut self, diagnostics: Vec<Diagnostic>, origins: &Origins) {
        let located: Vec<Diagnostic> =
            diagnostics.into_iter().map(|diagnostic| relocate(diagnostic, origins)).collect();
        let causes = Causes::new(&self.repaired, self.diagnostics.iter().chain(&located));
        self.diagnostics
            .extend(located.into_iter().filter(|diagnostic| !causes.include_cause_of(diagnostic)));
    }

    fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Determines the format version of the file. A file without a known version that has keys of version 2 is reported, and
    /// then read as version 2.
    fn format_version(&mut self) -> Option<FormatVersion> {
        if self.repaired.is_stand_in(&Pointer::root().key("version"))
            && let Some(map) = Arc::make_mut(&mut self.file).as_object_mut()
        {
            map.insert("version".to_owned(), json!("v2"));
        }
        match self.file.get("version") {
            Some(Value::String(version)) if version == "v2" => Some(FormatVersion::V2),
            Some(Value::String(version)) if !matches!(version.as_str(), "" | "v1") => {
                // A string this short cannot be a secret.
                let written =
                    Some(version).filter(|version| version.len() <= 4 && display_key(version) == *version);
                let written = written.map_or_else(String::new, |version| format!(" `{version}`"));
                let stray = StrayCharacter::find(version)
                    .map_or_else(String::new, |found| format!("; it contains {found}"));
                let message = format!("unknown version{written}{stray}");
                let is_version_2 =
                    matches!(version.to_ascii_lowercase().as_str(), "2" | "v2" | "2.0" | "v2.0");
                self.report_version(message, is_version_2)
            }
            Some(version @ (Value::Number(_) | Value::Bool(_) | Value::Array(_) | Value::Object(_))) => {
                let is_version_2 = version.as_f64() == Some(2.0);
                self.report_version("`version` is not a string".to_owned(), is_version_2)
            }
            None if self.misspells_version_2() => Some(FormatVersion::V2),
            Some(Value::String(_) | Value::Null) | None if self.file.get("destinations").is_some() => {
                Some(FormatVersion::V1)
            }
            Some(Value::String(_) | Value::Null) | None => {
                let Some(key) = self.key_of_version_2() else { return Some(FormatVersion::V1) };
                let (message, help) = if self.file.get("version").is_some() {
                    (format!("version 1 has no `{key}`"), "write `version: v2`")
                } else {
                    let message =
                        format!("a file without `version` is read as version 1, which has no `{key}`");
                    (message, "write `version: v2` as the first line")
                };
                self.report(
                    Diagnostic::new(Code::MissingVersion, Target::Key(Pointer::root().key(key)), message)
                        .with_help(help),
                );
                self.assume_version_2();
                Some(FormatVersion::V2)
            }
        }
    }

    fn assume_version_2(&mut self) {
        if let Some(map) = Arc::make_mut(&mut self.file).as_object_mut() {
            map.insert("version".to_owned(), json!("v2"));
        }
    }

    /// Returns whether a misspelled `version` says version 2. It is reported as an unknown key.
    fn misspells_version_2(&self) -> bool {
        let says_so = |(key, value): (&String, &Value)| *value == "v2" && suggest(key, ["version"]).is_some();
        self.file.as_object().is_some_and(|map| map.iter().any(says_so))
    }

    /// Reports a version that does not exist. The file is then read as version 2 if it means that version or has keys of it.
    fn report_version(&mut self, message: String, is_version_2: bool) -> Option<FormatVersion> {
        self.version = FormatVersion::V2;
        self.report(
            Diagnostic::new(Code::UnknownVersion, Target::Value(Pointer::root().key("version")), message)
                .with_help("write `version: v2`"),
        );
        if !is_version_2 && self.key_of_version_2().is_none() {
            return None;
        }
        self.assume_version_2();
        Some(FormatVersion::V2)
    }

    /// Returns a key of the file that only version 2 has.
    fn key_of_version_2(&self) -> Option<&'static str> {
        ["services", "outputs"].into_iter().find(|key| self.file.get(key).is_some())
    }

    fn merge(&mut self, overrides: &[Override], options: &LoadOptions) {
        let mut origins = Origins::default();
        let mut value = match self.version {
            FormatVersion::V2 => {
                let mut file = self.separated_file(&mut origins);
                self.indent_destination(&mut file, &mut origins);
                file
            }
            FormatVersion::V1 => match self.convert(&mut origins) {
                Some(value) => Arc::new(value),
                None => return,
            },
        };
        for value_override in overrides {
            value_override.apply(Arc::make_mut(&mut value), &mut origins);
        }
        let mut diagnostics = Vec::new();
        for (pointer, set) in join_uri::expand(&value, &mut diagnostics) {
            Override::new(pointer, set, OverrideSource::JoinUri)
                .apply(Arc::make_mut(&mut value), &mut origins);
        }
        let Some(config) = self.deserialize::<Config>(FormatVersion::V2, &mut value, &mut origins) else {
            return;
        };
        checks::check(&config, &value, options, &mut diagnostics);
        if self.version == FormatVersion::V1 {
            help_v1::use_keys_of_version_1(&config, &mut diagnostics);
        }
        self.report_checks(diagnostics, &origins);
        if !self.has_errors() {
            self.effective = Some(EffectiveConfig { config, value, origins });
        }
    }

    /// Returns the file with the maps separated that the YAML reader could not separate.
    fn separated_file(&mut self, origins: &mut Origins) -> Arc<Value> {
        let mut file = Arc::clone(&self.file);
        if self.repaired.has_nested_maps() {
            self.repaired.separate_maps(self.version.schema(), Arc::make_mut(&mut file), origins);
        }
        file
    }

    /// Moves a `destination` that is not indented to its service, and reports it.
    fn indent_destination(&mut self, file: &mut Arc<Value>, origins: &mut Origins) {
        if file.get("destination").is_some()
            && nested_map::indent_destination(Arc::make_mut(file), origins)
            && let Some(meaning) = words::find(&[WordPlace::Root], "destination")
        {
            let target = Target::Key(Pointer::root().key("destination"));
            let diagnostic = Diagnostic::new(Code::UnknownKey, target, "unknown key `destination`");
            self.report(diagnostic.with_help(meaning.help()));
        }
    }

    fn convert(&mut self, origins: &mut Origins) -> Option<Value> {
        let mut file_origins = Origins::default();
        let mut file = self.separated_file(&mut file_origins);
        let config = self.deserialize::<ConfigV1>(FormatVersion::V1, &mut file, &mut file_origins)?;
        let message = "this file uses version 1 of the format; it is converted to version 2 when read";
        self.report(
            Diagnostic::new(Code::Version1, Target::Value(Pointer::root().key("version")), message)
                .with_help(
                    "`tbot migrate` prints it as version 2, in a form that agents can read from Teleport 18 on, and require from \
                     Teleport 19 on",
                ),
        );
        let converted = convert_v1::convert(&file, &config);
        let refused = converted.refused.iter().map(|template| original(&file_origins, template));
        let refused: Vec<Pointer> = refused.collect();
        self.report_checks(converted.diagnostics, &file_origins);
        self.drop_keys_of(&refused);
        // A misspelled key was read as the one that it means.
        let moved = converted.moved.into_iter().map(|(to, from)| (to, original(&file_origins, &from)));
        origins.moved = moved.collect();
        for (to, from) in file_origins.moved {
            origins.moved.entry(to).or_insert(from);
        }
        Some(converted.value)
    }

    /// Removes what is reported about the keys of templates that cannot be used: they are to be removed, not corrected.
    fn drop_keys_of(&mut self, templates: &[Pointer]) {
        let reported = self.diagnostics.iter().filter(|one| one.code == Code::InvalidV1);
        let reported = reported.filter_map(|one| one.target.pointer().cloned());
        let reported: Vec<Pointer> = reported.filter(|pointer| templates.contains(pointer)).collect();
        self.diagnostics.retain(|one| {
            let pointer = one.target.pointer().filter(|_| one.code == Code::UnknownKey);
            !pointer.is_some_and(|pointer| reported.iter().any(|at| strip_ancestor(pointer, at).is_some()))
        });
    }

    /// Deserializes a value. Invalid parts are reported and repaired. Returns `None` if the value is still invalid.
    fn deserialize<T: serde::de::DeserializeOwned>(
        &mut self,
        version: FormatVersion,
        value: &mut Arc<Value>,
        origins: &mut Origins,
    ) -> Option<T> {
        // The value of a misspelled key is checked only after the key is repaired.
        for _ in 0..MAX_REPAIRS {
            if let Ok(typed) = strict::from_value(value) {
                return Some(typed);
            }
            let mut repairs = Vec::new();
            let causes = Causes::new(&self.repaired, []);
            for violation in explain(version, value) {
                let diagnostic = violation.diagnostic.map(|diagnostic| relocate(diagnostic, origins));
                self.diagnostics.extend(diagnostic.filter(|one| !causes.include_cause_of(one)));
                repairs.push(violation.repair);
            }
            self.repaired.apply(version.schema(), Arc::make_mut(value), repairs, origins);
        }
        let typed = strict::from_value(value).ok();
        if typed.is_none() && !self.has_errors() {
            // Unreachable as long as the schema and the types agree, which a property test verifies.
            self.report(Diagnostic::new(Code::WrongType, Target::File, "a value has the wrong type"));
        }
        typed
    }
}

/// How often the structure of a file is repaired: misspelled keys can be nested.
const MAX_REPAIRS: usize = 8;

/// Describes a YAML problem with the key that it is about, if that is the name of a property. Any other key may be a secret.
fn describe_problem(mut problem: yaml::Problem) -> Diagnostic {
    let has_no_block = problem.key.as_deref().is_some_and(vocabulary::is_scalar);
    if let Some(otherwise) = problem.otherwise.take().filter(|_| has_no_block) {
        return describe_problem(*otherwise);
    }
    let list = problem.parent.take().filter(|(key, _)| vocabulary::is_list(key));
    if let Some((key, span)) = list {
        let message = format!("`{key}` is a list, but its entries do not start with `- `");
        return Diagnostic::new(Code::MissingDash, Target::Span(span), message)
            .with_help("write `- ` before the first key of each entry, and align the others with it");
    }
    let key = problem.key.take().filter(|key| vocabulary::is_property_name(key));
    let mut diagnostic = Diagnostic::from(problem);
    if let Some(key) = key {
        diagnostic.message = format!("{} `{key}`", diagnostic.message);
    }
    diagnostic
}

/// Replaces the targets of a diagnostic in the effective configuration with those in what the user wrote, and adds what has set the
/// properties that it names.
fn relocate(mut diagnostic: Diagnostic, origins: &Origins) -> Diagnostic {
    let targets = [Some(&diagnostic.target), diagnostic.related.as_ref().map(|(_, related)| related)];
    let named: Vec<Pointer> = targets.into_iter().flatten().filter_map(Target::pointer).cloned().collect();
    diagnostic = named.into_iter().fold(diagnostic, Diagnostic::naming);
    for property in &mut diagnostic.properties {
        property.set_by = origins.input_of(&property.pointer);
    }
    let original = |target: Target| match target {
        Target::Key(pointer) => match origins.of(&pointer) {
            Origin::File(pointer) => Target::Key(pointer),
            Origin::Override(source) => override_target(&source, origins),
        },
        Target::Value(pointer) => match origins.of(&pointer) {
            Origin::File(pointer) => Target::Value(pointer),
            Origin::Override(source) => override_target(&source, origins),
        },
        other => other,
    };
    diagnostic.target = original(diagnostic.target);
    diagnostic.related = diagnostic.related.map(|(label, related)| (label, original(related)));
    diagnostic
}

/// Returns the target for a value that does not come from its own property in the file.
fn override_target(source: &OverrideSource, origins: &Origins) -> Target {
    let join_uri = Pointer::root().key("join_uri");
    match (source, origins.of(&join_uri)) {
        (OverrideSource::JoinUri, Origin::File(join_uri)) => Target::Value(join_uri),
        (OverrideSource::JoinUri, Origin::Override(source)) => Target::Override(source.to_string()),
        (source, _) => Target::Override(source.to_string()),
    }
}
