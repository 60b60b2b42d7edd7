//! From a text and what overrides it to the effective configuration: YAML, version, overrides, join URI, structure,
//! meaning. Depends on every other part of the configuration; pure.

use std::collections::{BTreeSet, HashSet};

use serde_json::{Value, json};

use super::checks::{self, Purpose};
use super::disclosure::FileDisclosure;
use super::explain::explain;
use super::join_uri;
use super::overrides::Override;
use super::provenance::{Input, Origin, Origins};
use super::schema::FormatVersion;
use super::v1::{self, ConfigV1};
use super::{Config, strict};
use crate::diagnostic::{Code, Diagnostic, Severity, Target};
use crate::pointer::Pointer;
use crate::yaml;

/// A configuration with everything merged that has a say in it: the file, flags, variables, the join URI.
#[derive(Clone, Debug)]
pub struct Effective {
    config: Config,
    value: Value,
    origins: Origins,
}

impl Effective {
    /// The configuration, for the agent.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The same as a value of version 2, for the event's declarations.
    pub const fn value(&self) -> &Value {
        &self.value
    }

    /// Where its values came from.
    pub const fn origins(&self) -> &Origins {
        &self.origins
    }
}

/// What became of a text.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The effective configuration; none exactly where there are errors.
    pub effective: Option<Effective>,
    /// What is wrong or worth saying, in no order. Places are those of the file.
    pub diagnostics: Vec<Diagnostic>,
    file: Value,
    version: FormatVersion,
}

impl Loaded {
    /// What of the file may be shown in excerpts.
    pub fn disclosure(&self) -> FileDisclosure {
        FileDisclosure::new(self.version.schema(), self.file.clone())
    }
}

/// Loads a configuration from a file's text, where there is one, and what overrides it.
///
/// Reports all that is wrong: what is wrong in structure is left out, and the rest is checked for its meaning.
pub fn load(text: Option<&str>, overrides: &[Override], purpose: Purpose) -> Loaded {
    let mut loaded = Loaded {
        effective: None,
        diagnostics: Vec::new(),
        file: json!({ "version": "v2" }),
        version: FormatVersion::V2,
    };
    if let Some(text) = text {
        match yaml::parse(text) {
            Ok(parsed) => {
                if parsed.documents_ignored {
                    let message = "only the first YAML document is read, and there are more";
                    loaded.report(
                        Diagnostic::new(Code::DocumentsIgnored, Target::File, message)
                            .with_help("remove what follows the second `---`"),
                    );
                }
                loaded.file = parsed.value;
            }
            Err(problems) => {
                loaded.file = Value::Null;
                loaded.diagnostics.extend(problems.into_iter().map(Diagnostic::from));
                return loaded;
            }
        }
    }
    let Some(version) = loaded.dispatch() else { return loaded };
    loaded.version = version;
    loaded.merge(overrides, purpose);
    loaded
}

impl Loaded {
    fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Reports what the checks found; but not that something is missing from a map that has an unknown key, which may be
    /// that thing, mistyped.
    fn report_meaning(&mut self, found: Vec<Diagnostic>, origins: &Origins) {
        let unknown = self.diagnostics.iter().filter(|diagnostic| diagnostic.code == Code::UnknownKey);
        let misspelled: HashSet<Target> = unknown
            .filter_map(|diagnostic| diagnostic.target.pointer()?.parent())
            .map(Target::Value)
            .collect();
        let found = found.into_iter().map(|diagnostic| relocate(diagnostic, origins));
        self.diagnostics.extend(found.filter(|diagnostic| {
            !matches!(diagnostic.code, Code::ExactlyOne | Code::InvalidV1)
                || !misspelled.contains(&diagnostic.target)
        }));
    }

    fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Tells the version of the file; a file that names none and has what only version 2 has is read as that.
    fn dispatch(&mut self) -> Option<FormatVersion> {
        match self.file.get("version") {
            Some(Value::String(version)) if version == "v2" => Some(FormatVersion::V2),
            Some(Value::String(version)) if !matches!(version.as_str(), "" | "v1") => {
                let message = format!("version `{}` is not known", crate::diagnostic::display_key(version));
                self.unknown_version(message);
                None
            }
            Some(Value::Number(_) | Value::Bool(_) | Value::Array(_) | Value::Object(_)) => {
                self.unknown_version("the version is not a text".to_owned());
                None
            }
            Some(Value::String(_) | Value::Null) | None => {
                let newer = ["services", "outputs"].into_iter().find(|key| self.file.get(key).is_some());
                let Some(key) = newer else { return Some(FormatVersion::V1) };
                let (message, help) = if self.file.get("version").is_some() {
                    (format!("version 1 has no `{key}`"), "write `version: v2`")
                } else {
                    let message = format!("a file without `version` is of version 1, which has no `{key}`");
                    (message, "write `version: v2` as the first line")
                };
                self.report(
                    Diagnostic::new(Code::MissingVersion, Target::Key(Pointer::root().key(key)), message)
                        .with_help(help),
                );
                if let Some(map) = self.file.as_object_mut() {
                    map.insert("version".to_owned(), json!("v2"));
                }
                Some(FormatVersion::V2)
            }
        }
    }

    fn unknown_version(&mut self, message: String) {
        self.version = FormatVersion::V2;
        self.report(
            Diagnostic::new(Code::UnknownVersion, Target::Value(Pointer::root().key("version")), message)
                .with_help("write `version: v2`"),
        );
    }

    fn merge(&mut self, overrides: &[Override], purpose: Purpose) {
        let mut origins = Origins::default();
        let mut value = match self.version {
            FormatVersion::V2 => self.file.clone(),
            FormatVersion::V1 => match self.convert(&mut origins) {
                Some(value) => value,
                None => return,
            },
        };
        for one in overrides {
            one.apply(&mut value, &mut origins);
        }
        let mut found = Vec::new();
        for (pointer, given) in join_uri::expand(&value, &mut found) {
            Override::new(pointer, given, Input::JoinUri).apply(&mut value, &mut origins);
        }
        let Some(config) = self.typed::<Config>(FormatVersion::V2, &mut value, &mut origins) else { return };
        // What was left out may be what start would miss.
        let purpose = if self.has_errors() { Purpose::Validate } else { purpose };
        checks::check(&config, &value, purpose, &mut found);
        self.report_meaning(found, &origins);
        if !self.has_errors() {
            self.effective = Some(Effective { config, value, origins });
        }
    }

    fn convert(&mut self, origins: &mut Origins) -> Option<Value> {
        let mut file = self.file.clone();
        let mut kept = Origins::default();
        let config = self.typed::<ConfigV1>(FormatVersion::V1, &mut file, &mut kept)?;
        let message = "this file is of version 1, and is read as the version 2 that it converts to";
        self.report(
            Diagnostic::new(Code::Version1, Target::Value(Pointer::root().key("version")), message)
                .with_help("write `version: v2`, and `services` with a `type` each for `destinations`"),
        );
        // What was left out of a list has moved what follows it.
        let converted = v1::convert(&file, &config);
        self.report_meaning(converted.diagnostics, &kept);
        origins.moved = converted
            .moved
            .into_iter()
            .map(|(to, from)| match kept.of(&from) {
                Origin::File(from) => (to, from),
                Origin::Input(_) => (to, from),
            })
            .collect();
        Some(converted.value)
    }

    /// Reads a value as its type. What does not fit is reported and taken out of the value; none where even the rest does
    /// not fit.
    fn typed<T: serde::de::DeserializeOwned>(
        &mut self,
        version: FormatVersion,
        value: &mut Value,
        origins: &mut Origins,
    ) -> Option<T> {
        if let Ok(typed) = strict::from_value(value) {
            return Some(typed);
        }
        let violations = explain(version, value);
        if violations.is_empty() {
            // The schema and the types accept the same, which a property test shows; this says so if they ever do not.
            self.report(Diagnostic::new(
                Code::WrongType,
                Target::File,
                "a value has another type than its property",
            ));
            return None;
        }
        let wrong: Vec<Target> = violations.iter().map(|violation| violation.target.clone()).collect();
        self.diagnostics.extend(violations.into_iter().map(|violation| relocate(violation, origins)));
        leave_out(value, &wrong, origins);
        strict::from_value(value).ok()
    }
}

/// Names the place that the user wrote instead of the place in the effective configuration.
fn relocate(mut diagnostic: Diagnostic, origins: &Origins) -> Diagnostic {
    let place = |place: Target| match place {
        Target::Key(pointer) => match origins.of(&pointer) {
            Origin::File(pointer) => Target::Key(pointer),
            Origin::Input(input) => input_place(&input, origins),
        },
        Target::Value(pointer) => match origins.of(&pointer) {
            Origin::File(pointer) => Target::Value(pointer),
            Origin::Input(input) => input_place(&input, origins),
        },
        other => other,
    };
    diagnostic.target = place(diagnostic.target);
    diagnostic.related = diagnostic.related.map(|(what, related)| (what, place(related)));
    diagnostic
}

fn input_place(input: &Input, origins: &Origins) -> Target {
    let join_uri = Pointer::root().key("join_uri");
    match (input, origins.of(&join_uri)) {
        (Input::JoinUri, Origin::File(join_uri)) => Target::Value(join_uri),
        (Input::JoinUri, Origin::Input(input)) => Target::Override(input.to_string()),
        (input, _) => Target::Override(input.to_string()),
    }
}

/// Takes what is wrong out of a value, as little as will do: an unknown key alone, of a list the entry with the wrong part,
/// else the wrong value. Places of what is left are noted in the origins where they changed.
fn leave_out(value: &mut Value, wrong: &[Target], origins: &mut Origins) {
    let mut entries: Vec<(String, usize)> = Vec::new();
    for place in wrong {
        let (pointer, is_key) = match place {
            Target::Key(pointer) => (pointer, true),
            Target::Value(pointer) => (pointer, false),
            _ => continue,
        };
        let tokens: Vec<String> = pointer.tokens().map(std::borrow::Cow::into_owned).collect();
        match tokens.as_slice() {
            _ if is_key => remove(value, pointer),
            [list, index, ..] if matches!(list.as_str(), "services" | "outputs" | "destinations") => {
                if let Ok(index) = index.parse() {
                    entries.push((list.clone(), index));
                }
            }
            [storage, ..] if storage == "storage" => remove(value, &Pointer::root().key("storage")),
            _ => remove(value, pointer),
        }
    }
    for list in ["services", "outputs", "destinations"] {
        let dropped: BTreeSet<usize> =
            entries.iter().filter(|(of, _)| of == list).map(|(_, index)| *index).collect();
        if dropped.is_empty() {
            continue;
        }
        let Some(Value::Array(items)) = value.get_mut(list) else { continue };
        let place = Pointer::root().key(list);
        let mut kept = Vec::with_capacity(items.len());
        for (index, item) in std::mem::take(items).into_iter().enumerate() {
            let old = place.index(index);
            if dropped.contains(&index) {
                origins.forget_inputs(&old);
                continue;
            }
            let new = place.index(kept.len());
            if new != old {
                if let Origin::File(old) = origins.of(&old) {
                    origins.moved.push((new.clone(), old));
                }
                origins.move_inputs(&old, &new);
            }
            kept.push(item);
        }
        *items = kept;
    }
}

fn remove(value: &mut Value, pointer: &Pointer) {
    let (Some(parent), Some(last)) = (pointer.parent(), pointer.last()) else { return };
    match value.pointer_mut(parent.as_str()) {
        Some(Value::Object(map)) => {
            map.shift_remove(last.as_ref());
        }
        // An item of a list takes the list with it: its siblings keep their places.
        Some(Value::Array(_)) => remove(value, &parent),
        _ => {}
    }
}
