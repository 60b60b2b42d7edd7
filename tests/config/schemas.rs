//! The schemas themselves: they are valid, describe and classify every property, and agree with the checks and
//! defaults.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tbot::config::internal::{FormatVersion, Sensitivity, check_structure, schema};
use tbot::config::{Config, Purpose, load};
use tbot::diagnostic::Code;
use tbot::pointer::Pointer;

const VERSIONS: [FormatVersion; 2] = [FormatVersion::V1, FormatVersion::V2];

/// Returns every property of a schema, with the name of its definition (`Config` for the root), its name and its
/// schema.
fn properties(root: &Value) -> Vec<(&str, &str, &Value)> {
    let definitions = root["$defs"].as_object().unwrap();
    let all = definitions.iter().map(|(name, object)| (name.as_str(), object)).chain([("Config", root)]);
    let mut properties = Vec::new();
    for (definition, object) in all {
        for (name, property) in object["properties"].as_object().into_iter().flatten() {
            properties.push((definition, name.as_str(), property));
        }
    }
    properties
}

#[test]
fn the_embedded_schemas_are_up_to_date() {
    let generated = [(FormatVersion::V1, schema::generate_v1()), (FormatVersion::V2, schema::generate())];
    for (version, schema) in generated {
        assert!(*version.schema() == schema, "{version:?} is out of date: run `cargo xtask schema`");
    }
}

#[test]
fn schemas_are_valid_2020_12() {
    for version in VERSIONS {
        assert_eq!(version.schema()["$schema"], "https://json-schema.org/draft/2020-12/schema");
        jsonschema::draft202012::meta::validate(version.schema()).unwrap();
    }
}

/// The keywords that `src/config/schema/violations.rs` evaluates.
const EVALUATED: [&str; 15] = [
    "$ref",
    "additionalProperties",
    "allOf",
    "const",
    "else",
    "enum",
    "if",
    "items",
    "maximum",
    "minimum",
    "pattern",
    "properties",
    "required",
    "then",
    "type",
];

/// The keywords that only describe. Those of this project begin with `x-`.
const DESCRIPTIVE: [&str; 10] = [
    "$comment",
    "$defs",
    "$id",
    "$schema",
    "default",
    "deprecated",
    "description",
    "enumDescriptions",
    "examples",
    "title",
];

fn keywords<'a>(schema: &'a Value, found: &mut BTreeSet<&'a str>) {
    for (keyword, argument) in schema.as_object().into_iter().flatten() {
        found.insert(keyword);
        match keyword.as_str() {
            "properties" | "$defs" => {
                argument.as_object().unwrap().values().for_each(|schema| keywords(schema, found));
            }
            "allOf" => argument.as_array().unwrap().iter().for_each(|schema| keywords(schema, found)),
            "additionalProperties" | "else" | "if" | "items" | "then" => keywords(argument, found),
            _ => {}
        }
    }
}

#[test]
fn the_program_evaluates_every_keyword_that_the_schemas_use() {
    for version in [FormatVersion::V1, FormatVersion::V2] {
        let mut found = BTreeSet::new();
        keywords(version.schema(), &mut found);
        let is_known = |keyword: &&str| {
            EVALUATED.contains(keyword)
                || DESCRIPTIVE.contains(keyword)
                || keyword.starts_with("x-")
                || *keyword == "patternErrorMessage"
        };
        let unknown: Vec<&str> = found.iter().copied().filter(|keyword| !is_known(keyword)).collect();
        assert!(unknown.is_empty(), "add these keywords to src/config/schema/violations.rs: {unknown:?}");
        // A dropped keyword leaves the list.
        if version == FormatVersion::V2 {
            assert!(EVALUATED.iter().all(|keyword| found.contains(keyword)));
        }
    }
}

#[test]
fn every_property_is_described_and_classified() {
    for version in VERSIONS {
        let root = version.schema();
        for (definition, name, property) in properties(root) {
            let schemas = [Some(property), schema::resolve(root, property)];
            let is_described = schemas
                .into_iter()
                .flatten()
                .any(|schema| schema["description"].as_str().is_some_and(|text| text.ends_with('.')));
            assert!(is_described, "{definition}.{name} has no description");
            assert!(
                schema::class_of(root, property).is_some(),
                "{definition}.{name} has no x-sensitivity: use a type of src/config/scalar.rs, `#[sensitivity = Tuning]` in a \
                 string_enum!, or for a list or a map `#[schemars(extend(\"x-sensitivity\" = \"tuning\"))]`"
            );
        }
    }
}

#[test]
fn every_service_has_an_access_class() {
    let root = FormatVersion::V2.schema();
    let branches: Vec<_> = schema::union_branches(root, &root["$defs"]["Service"]).collect();
    assert!(branches.len() >= 19);
    for (_, branch) in branches {
        let access = branch["x-access"].as_str().unwrap();
        assert!(["application", "database", "kubernetes", "other"].contains(&access), "{access}");
    }
}

#[test]
fn defaults_in_the_schema_match_the_accessors() {
    let root = FormatVersion::V2.schema();
    let minimal = load(Some("version: v2\n"), &[], Purpose::Validate).effective.unwrap();
    let config: &Config = minimal.config();
    for (key, property) in root["properties"].as_object().unwrap() {
        let Some(default) = property["default"].as_str() else { continue };
        let used = match key.as_str() {
            "credential_ttl" => config.credential_ttl(),
            "renewal_interval" => config.renewal_interval(),
            "leeway" => config.leeway(),
            _ => panic!("compare the default of `{key}`"),
        };
        assert_eq!(default.parse(), Ok(used), "{key}");
    }
    let default = |key: &str| root["properties"][key]["default"].clone();
    assert_eq!(default("oneshot"), config.is_oneshot());
    let explicit = json!({ "version": "v2", "storage": default("storage") });
    let explicit = load(Some(&explicit.to_string()), &[], Purpose::Validate).effective.unwrap();
    assert_eq!(explicit.config().storage, Some(config.storage()));
}

#[test]
fn every_default_and_example_is_valid() {
    for version in VERSIONS {
        let root = version.schema();
        for (definition, name, property) in properties(root) {
            let examples = property["examples"].as_array().into_iter().flatten();
            for value in examples.chain(property.get("default")) {
                let mut own = property.clone();
                own["$defs"] = root["$defs"].clone();
                assert!(jsonschema::is_valid(&own, value), "{definition}.{name}: {value}");
            }
        }
    }
}

fn fixture_path(version: FormatVersion) -> PathBuf {
    let name = match version {
        FormatVersion::V1 => "version-1-all-fields",
        FormatVersion::V2 => "all-fields",
    };
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/validate").join(name).join("tbot.yaml")
}

/// Returns the fixture of a format version, which has every property of its schema at least once.
fn fixture(version: FormatVersion) -> (String, Value) {
    let text = fs::read_to_string(fixture_path(version)).unwrap();
    let value = serde_yaml::from_str(&text).unwrap();
    (text, value)
}

/// Collects the properties and enum values of a schema that a value uses, as `definition.property` and `definition =
/// value`.
fn collect_used(root: &Value, schema: &Value, value: &Value, found: &mut BTreeSet<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let definition = reference.rsplit('/').next().unwrap();
        return collect_used_in(root, root.pointer(&reference[1..]).unwrap(), definition, value, found);
    }
    if let Some(alternative) = schema.get(if value.is_object() { "then" } else { "else" }) {
        return collect_used(root, alternative, value, found);
    }
    for condition in schema["allOf"].as_array().into_iter().flatten() {
        if condition["if"]["properties"]["type"]["const"] == value["type"] {
            return collect_used(root, &condition["then"], value, found);
        }
    }
    collect_used_in(root, schema, "Config", value, found);
}

fn collect_used_in(
    root: &Value,
    schema: &Value,
    definition: &str,
    value: &Value,
    found: &mut BTreeSet<String>,
) {
    if schema["allOf"].is_array() || schema["if"].is_object() {
        return collect_used(root, schema, value, found);
    }
    if schema["enum"].is_array() {
        found.insert(format!("{definition} = {value}"));
    }
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match schema["properties"].get(key) {
                    Some(property) => {
                        found.insert(format!("{definition}.{key}"));
                        collect_used(root, property, value, found);
                    }
                    None => collect_used(root, &schema["additionalProperties"], value, found),
                }
            }
        }
        Value::Array(items) => {
            items.iter().for_each(|item| collect_used(root, &schema["items"], item, found));
        }
        _ => {}
    }
}

#[test]
fn the_fixtures_use_every_property_and_value() {
    for version in VERSIONS {
        let root = version.schema();
        let (text, value) = fixture(version);
        assert!(load(Some(&text), &[], Purpose::Start).effective.is_some(), "{version:?} has errors");
        let mut used = BTreeSet::new();
        collect_used_in(root, root, "Config", &value, &mut used);

        // A union has no properties of its own; each of its types declares `type` as well.
        let is_union = |definition: &str| schema::is_union(&root["$defs"][definition]);
        let own = properties(root).into_iter().filter(|(definition, ..)| !is_union(definition));
        let mut expected: BTreeSet<String> =
            own.map(|(definition, name, _)| format!("{definition}.{name}")).collect();
        for (definition, schema) in root["$defs"].as_object().unwrap() {
            // An empty string means that the property is not set.
            let is_word = |value: &&Value| value.as_str().is_some_and(|word| !word.is_empty());
            let values = schema["enum"].as_array().into_iter().flatten().filter(is_word);
            expected.extend(values.map(|value| format!("{definition} = {value}")));
        }
        // A file has only one version and one join method. The test below covers the others.
        expected.retain(|item| !["Version", "JoinMethod"].iter().any(|prefix| item.starts_with(prefix)));
        // A storage in version 1 can have only one of its two properties, and this template requires options.
        expected.retain(|item| {
            !["StorageV1.memory", "TemplateName = \"ssh_host_cert\""].contains(&item.as_str())
        });
        let missing: Vec<&String> = expected.difference(&used).collect();
        assert!(missing.is_empty(), "add to {}: {missing:#?}", fixture_path(version).display());
    }
}

#[test]
fn every_version_and_join_method_is_accepted() {
    for version in VERSIONS {
        let root = version.schema();
        let mut value = json!({ "version": "v2" });
        for name in root["$defs"]["JoinMethod"]["enum"].as_array().unwrap() {
            value["onboarding"] = json!({ "join_method": name });
            for (definition, schema) in root["$defs"].as_object().unwrap() {
                if definition.starts_with("Version") {
                    for version_name in schema["enum"].as_array().unwrap() {
                        value["version"] = version_name.clone();
                        assert_eq!(check_structure(version, &value), Ok(()), "{value}");
                    }
                }
            }
        }
    }
}

#[test]
fn every_deprecated_property_and_type_has_a_warning() {
    let root = FormatVersion::V2.schema();
    let (text, _) = fixture(FormatVersion::V2);
    let warned: BTreeSet<Pointer> = load(Some(&text), &[], Purpose::Validate)
        .diagnostics
        .into_iter()
        .filter(|diagnostic| diagnostic.code == Code::Deprecated && diagnostic.help.is_some())
        .filter_map(|diagnostic| diagnostic.target.pointer().cloned())
        .collect();
    let (_, value) = fixture(FormatVersion::V2);
    let mut deprecated = 0;
    for pointer in crate::values::pointers(&value) {
        let pointer = Pointer::from(pointer.as_str());
        let Some(parent) = pointer.parent() else { continue };
        let Some(property) = schema::locate(root, &value, &pointer) else { continue };
        let is_type = pointer.last().as_deref() == Some("type");
        let branch = is_type.then(|| schema::locate(root, &value, &parent)).flatten();
        let type_is_deprecated = branch.and_then(|union| schema::resolve(root, union)).is_some_and(|union| {
            let type_name = value.pointer(pointer.as_str()).and_then(Value::as_str);
            schema::union_branches(root, union)
                .any(|(name, branch)| Some(name) == type_name && branch["deprecated"] == true)
        });
        if property["deprecated"] == true || type_is_deprecated {
            deprecated += 1;
            assert!(warned.contains(&pointer), "{pointer} is deprecated, but is not reported");
        }
    }
    assert!(deprecated >= 30, "the fixture has only {deprecated} deprecated properties");
}

/// The agent must not overwrite these files, and the user of its unit must be able to read them.
#[test]
fn every_path_for_joining_is_a_file_that_the_agent_reads() {
    let root = FormatVersion::V2.schema();
    let (_, mut value) = fixture(FormatVersion::V2);
    let is_file = |pointer: &Pointer| {
        pointer.last().is_some_and(|key| key.ends_with("path"))
            && schema::locate(root, &value, pointer)
                .is_some_and(|property| schema::class_of(root, property) == Some(Sensitivity::Location))
    };
    let mut files: Vec<Pointer> = crate::values::pointers(&value["onboarding"])
        .iter()
        .map(|below| Pointer::from(format!("/onboarding{below}")))
        .collect();
    files.retain(is_file);
    assert!(files.len() >= 5, "{files:?}");
    for file in &files {
        // In the fixture, a path that conflicts with another one is empty.
        *value.pointer_mut(file.as_str()).unwrap() = json!("/a/file");
    }
    let config: Config = serde_json::from_value(value).unwrap();
    let read: Vec<Pointer> = config.files_read().into_iter().map(|(pointer, _)| pointer).collect();
    for file in files {
        assert!(read.contains(&file), "add {file} to `Config::files_read`");
    }
}

/// For validators of others, which report what the schema says: one mistake must not drown in the violations of every
/// type of service, or of `null`.
#[test]
fn a_plain_validator_reports_the_mistake_and_little_else() {
    let destination = json!({ "type": "memory" });
    let service = |entry: Value| json!({ "version": "v2", "services": [entry] });
    let identity = |key: &str, value: Value| {
        let mut entry = json!({ "type": "identity", "destination": destination });
        entry[key] = value;
        service(entry)
    };
    let v2 = |key: &str, value: Value| json!({ "version": "v2", key: value });
    let v1 = |value: Value| json!({ "destinations": [value] });
    let readers = json!({ "type": "directory", "path": "/a", "readers": [{ "user": -1 }] });
    for (config, mistake, keyword) in [
        (service(json!({ "type": "identiy", "destination": destination })), "/services/0/type", "enum"),
        (service(json!({ "destination": destination })), "/services/0", "required"),
        (service(json!({ "type": "identity" })), "/services/0", "required"),
        (service(json!({ "type": "database", "destination": destination })), "/services/0", "required"),
        (identity("ttl", json!(1)), "/services/0", "additionalProperties"),
        (identity("destination", json!({ "type": "dir" })), "/services/0/destination/type", "enum"),
        (identity("destination", json!({ "type": "directory" })), "/services/0/destination", "required"),
        (service(json!("identity")), "/services/0", "type"),
        (identity("credential_ttl", json!(20)), "/services/0/credential_ttl", "type"),
        (identity("credential_ttl", json!("20 m")), "/services/0/credential_ttl", "pattern"),
        (identity("ssh_config", json!("yes")), "/services/0/ssh_config", "enum"),
        (identity("destination", readers), "/services/0/destination/readers/0/user", "minimum"),
        (v2("onboarding", json!([])), "/onboarding", "type"),
        (v2("onboarding", json!({ "join_method": "gitub" })), "/onboarding/join_method", "enum"),
        (v2("onboarding", json!({ "azure": { "id": "a" } })), "/onboarding/azure", "additionalProperties"),
        (v2("storage", json!("/a")), "/storage", "type"),
        (v2("storage", json!({ "type": "directory" })), "/storage", "required"),
        (v1(json!({ "directory": 1 })), "/destinations/0/directory", "type"),
        (v1(json!({ "directory": { "acls": "yes" } })), "/destinations/0/directory/acls", "enum"),
    ] {
        let version = if config.get("version").is_some() { FormatVersion::V2 } else { FormatVersion::V1 };
        let validator = jsonschema::validator_for(version.schema()).unwrap();
        let errors: Vec<(String, String)> = validator
            .iter_errors(&config)
            .map(|error| (error.instance_path().to_string(), error.kind().keyword().to_owned()))
            .collect();
        assert_eq!(errors, [(mistake.to_owned(), keyword.to_owned())], "{config}");
    }
}

#[test]
fn a_required_string_of_a_service_must_not_be_empty() {
    let root = FormatVersion::V2.schema();
    let (_, fixture) = fixture(FormatVersion::V2);
    let mut checked = 0;
    for list in ["services", "outputs"] {
        for (index, service) in fixture[list].as_array().unwrap().iter().enumerate() {
            let definitions = root["$defs"].as_object().unwrap().values();
            let definition = definitions
                .filter(|definition| definition["properties"]["type"]["const"] == service["type"])
                .find(|definition| definition["x-access"].is_string())
                .unwrap();
            for name in definition["required"].as_array().unwrap() {
                let name = name.as_str().unwrap();
                if name == "type" || !service[name].is_string() {
                    continue;
                }
                let mut changed = fixture.clone();
                changed[list][index][name] = json!("");
                let loaded = load(Some(&changed.to_string()), &[], Purpose::Start);
                assert!(
                    loaded.effective.is_none(),
                    "an empty `{name}` of {} is accepted: check it in src/config/checks/services.rs",
                    service["type"]
                );
                checked += 1;
            }
        }
    }
    assert!(checked > 10, "{checked}");
}
