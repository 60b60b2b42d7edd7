//! Recognises files that are not a configuration of tbot, but contain one or are passed in its place: manifests, resources,
//! values of a chart, services without the rest, and files of other programs. Depends on `service`, `hints`, `vocabulary` and
//! `diagnostic`.

use serde_json::{Map, Value};

use super::service::ServiceType;
use super::{hints, vocabulary};
use crate::diagnostic::{Code, Diagnostic, Target};
use crate::pointer::Pointer;
use crate::yaml;

/// Keys of the top level that nearly every configuration has, and none of the other documents.
const OWN_KEYS: [&str; 6] =
    ["onboarding", "proxy_server", "auth_server", "join_uri", "storage", "destinations"];

/// The keys of a ConfigMap or a Secret that contain files as text.
const KEYS_OF_DATA: [&str; 2] = ["data", "stringData"];

/// Values of the chart that become part of the configuration, next to `tbotConfig`.
const CHART_VALUES: [&str; 6] =
    ["clusterName", "teleportProxyAddress", "teleportAuthAddress", "token", "services", "outputs"];

/// The pointer to the kind of a manifest or resource.
pub(super) const KIND: &str = "/kind";

/// Another kind of document.
struct OtherDocument<'a> {
    /// The key that shows what it is.
    key: &'a str,
    what: &'static str,
    help: &'static str,
}

/// Returns an error if the document is something else than a configuration of tbot. A stray key of another format does not
/// make a configuration something else.
///
/// `text` is the whole file if further documents follow in it.
pub(super) fn recognise(document: &Value, text: Option<&str>) -> Option<Diagnostic> {
    let map = document.as_object()?;
    if OWN_KEYS.iter().any(|key| map.contains_key(*key)) {
        return None;
    }
    // The values of the chart can have lists of the same names.
    let has_services = ["services", "outputs"].iter().any(|key| map.contains_key(*key));
    let other = match has_services {
        true => chart_values(map).or_else(|| other_program(map)),
        false => chart_values(map)
            .or_else(|| manifest(map))
            .or_else(|| chart(map))
            .or_else(|| chart_of_another_chart(map))
            .or_else(|| configuration_of_machine(map))
            .or_else(|| single_service(map))
            .or_else(|| below_another_key(map))
            .or_else(|| other_program(map)),
    }?;
    let target = Target::Key(Pointer::root().key(other.key));
    let message = format!("this is {}, not a configuration of tbot", other.what);
    let in_another_document = text.filter(|_| other.help == SEPARATE_FILE).and_then(help_for_documents);
    let help = in_another_document.unwrap_or_else(|| other.help.to_owned());
    Some(Diagnostic::new(Code::OtherDocument, target, message).with_help(help))
}

/// Returns a help if another document of the file contains a configuration, as manifests often do.
fn help_for_documents(text: &str) -> Option<String> {
    let mut document = String::new();
    let mut first_line = 1;
    for (number, line) in (1..).zip(text.lines().chain(["---"])) {
        if !is_mark(line) {
            document.push_str(line);
            document.push('\n');
            continue;
        }
        let map = yaml::parse(&std::mem::take(&mut document)).ok().map(|parsed| parsed.value);
        let map = map.as_ref().and_then(Value::as_object);
        let block = map.and_then(below_another_key).filter(|block| KEYS_OF_DATA.contains(&block.key));
        if let Some(OtherDocument { key, .. }) = block {
            return Some(format!(
                "the configuration is a value under `{key}` of the document that starts on line {first_line}: write it to a \
                 separate file"
            ));
        }
        first_line = number + 1;
    }
    None
}

/// Returns whether a line begins another document.
fn is_mark(line: &str) -> bool {
    line == "---" || line.starts_with("--- ")
}

fn chart_values(map: &Map<String, Value>) -> Option<OtherDocument<'static>> {
    if map.contains_key("version") {
        return None;
    }
    let keys = ["tbotConfig", "teleportProxyAddress", "teleportAuthAddress", "clusterName"];
    let key = keys.into_iter().find(|key| map.contains_key(*key))?;
    let help = match map.get("tbotConfig") {
        Some(Value::Object(own))
            if has_address(own) && !CHART_VALUES.iter().any(|key| map.get(*key).is_some_and(is_set)) =>
        {
            "the configuration is what is under `tbotConfig`: write it to a separate file without this key"
        }
        Some(value) if contains_block(value) => HELP_FOR_BLOCK,
        _ => "the chart makes the configuration from them: `helm template` prints it in a ConfigMap",
    };
    Some(OtherDocument { key, what: "a file with values for the Helm chart", help })
}

fn has_address(config: &Map<String, Value>) -> bool {
    ["proxy_server", "auth_server", "join_uri"].iter().any(|key| config.contains_key(*key))
}

/// Returns whether a value of a chart is not empty.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(string) => !string.is_empty(),
        Value::Array(entries) => !entries.is_empty(),
        _ => true,
    }
}

/// Recognises a manifest of Kubernetes, or a resource of Teleport.
fn manifest(map: &Map<String, Value>) -> Option<OtherDocument<'static>> {
    let kind = map.get("kind")?.as_str()?;
    let (what, help) = match (map.contains_key("apiVersion"), kind) {
        (true, "Secret") if map.contains_key("stringData") => (
            "a manifest for Kubernetes",
            "the configuration is a value under `stringData`: write it to a separate file",
        ),
        (true, "Secret") => (
            "a manifest for Kubernetes",
            "the configuration is a value under `data`: decode it from base64, and write it to a separate file",
        ),
        (true, "ConfigMap") => (
            "a manifest for Kubernetes",
            "the configuration is a value under `data`: write it to a separate file",
        ),
        (true, _) => ("a manifest for Kubernetes", SEPARATE_FILE),
        (false, _) if map.contains_key("metadata") || map.contains_key("spec") => {
            ("a resource of Teleport, which `tctl create` reads", SEPARATE_FILE)
        }
        (false, _) => return None,
    };
    Some(OtherDocument { key: "kind", what, help })
}

/// Recognises the `Chart.yaml` of a Helm chart, which can have a `type: application`, as a service has.
fn chart(map: &Map<String, Value>) -> Option<OtherDocument<'static>> {
    let is_chart = ["apiVersion", "name", "version"].iter().all(|key| map.contains_key(*key));
    is_chart.then_some(OtherDocument {
        key: "apiVersion",
        what: "the `Chart.yaml` of a Helm chart",
        help: CHECK_PATH,
    })
}

const CHECK_PATH: &str = "check the path of the file; `tbot configure` prints a configuration";

const HELP_FOR_BLOCK: &str =
    "write the block to a separate file, without the key above it and the indentation";

const SEPARATE_FILE: &str = "write a separate file for tbot; `tbot configure` prints one";

/// Recognises the configuration of Teleport itself, or of cloud-init.
fn configuration_of_machine(map: &Map<String, Value>) -> Option<OtherDocument<'static>> {
    let has_map = |key: &&str| map.get(*key).is_some_and(Value::is_object);
    if let Some(key) = ["teleport", "auth_service", "proxy_service", "ssh_service"].into_iter().find(has_map)
    {
        return Some(OtherDocument { key, what: "a configuration of Teleport itself", help: SEPARATE_FILE });
    }
    map.get("write_files")?.as_array()?;
    Some(OtherDocument {
        key: "write_files",
        what: "a configuration of cloud-init",
        help: "the configuration is the `content` of an entry of `write_files`: write it to a separate file",
    })
}

/// Recognises the values of a chart that contains the chart, such as those of Teleport's plugins, which have a key `teleport` as well.
fn chart_of_another_chart(map: &Map<String, Value>) -> Option<OtherDocument<'_>> {
    other_keys(map)
        .find_map(|(key, value)| chart_values(value.as_object()?).map(|chart| OtherDocument { key, ..chart }))
}

/// Recognises a configuration below a key of another program.
fn below_another_key(map: &Map<String, Value>) -> Option<OtherDocument<'_>> {
    other_keys(map).find_map(|(key, value)| {
        if contains_block(value) {
            return Some(OtherDocument {
                key,
                what: "a file that contains a configuration as a block of text",
                help: HELP_FOR_BLOCK,
            });
        }
        let inner = value.as_object()?;
        OWN_KEYS.iter().any(|own| inner.contains_key(*own)).then_some(OtherDocument {
            key,
            what: "a file that contains a configuration below another key",
            help: "write what is below this key to a separate file, without the key",
        })
    })
}

/// Recognises a file that has nothing in common with a configuration, except keys that many formats have.
fn other_program(map: &Map<String, Value>) -> Option<OtherDocument<'_>> {
    let is_version = |key: &str| key == "version";
    let has_own_form = |version: &str| {
        version.strip_prefix('v').is_some_and(|rest| rest.starts_with(|char: char| char.is_ascii_digit()))
    };
    let is_own_version = map.get("version").and_then(Value::as_str).is_some_and(has_own_form);
    let is_foreign = |(key, value): (&String, &Value)| match key.as_str() {
        "version" => true,
        "services" => value.as_object().is_some_and(is_map_of_programs),
        key => !hints::means_key_of_root(key),
    };
    let (key, _) = map.iter().find(|(key, _)| !is_version(key))?;
    (!is_own_version && map.iter().all(is_foreign)).then_some(OtherDocument {
        key,
        what: "a file of another program",
        help: CHECK_PATH,
    })
}

/// Returns whether a map contains programs, as in the files of Docker Compose, and no service of tbot.
fn is_map_of_programs(services: &Map<String, Value>) -> bool {
    let is_program = |(name, program): (&String, &Value)| {
        let own_keys = ["type", "destination"];
        ServiceType::from_name(name).is_none()
            && program.as_object().is_some_and(|map| !own_keys.iter().any(|key| map.contains_key(*key)))
    };
    !services.is_empty() && services.iter().all(is_program)
}

/// Iterates over the keys that no configuration has, with their values.
fn other_keys(map: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    map.iter().filter(|(key, _)| !vocabulary::is_property_name(key))
}

/// Returns whether a value is the text of a configuration, or contains it, as in the `data` of a ConfigMap.
fn contains_block(value: &Value) -> bool {
    let is_own_key = |line: &str| {
        let key = line.split_once(':').map(|(key, _)| key);
        line.starts_with("version: v") || key.is_some_and(|key| OWN_KEYS.contains(&key))
    };
    let is_configuration = |text: &str| text.lines().any(is_own_key);
    match value {
        Value::String(text) => is_configuration(text),
        Value::Object(map) => map.values().any(|value| value.as_str().is_some_and(is_configuration)),
        _ => false,
    }
}

fn single_service(map: &Map<String, Value>) -> Option<OtherDocument<'static>> {
    is_service(map).then_some(OtherDocument {
        key: "type",
        what: "a single service",
        help: "write `version: v2`, and the service as an entry of `services`: indented, with `- ` before its first key",
    })
}

fn is_service(map: &Map<String, Value>) -> bool {
    map.get("type").and_then(Value::as_str).is_some_and(|name| ServiceType::from_name(name).is_some())
}

/// Returns an error at `target` if a document that is not a map is a list of services.
pub(super) fn recognise_services(text: &str, target: &Target) -> Option<Diagnostic> {
    // A list needs no indentation below its key. The mark of a document would begin a second one.
    let list: Vec<&str> = text.lines().filter(|line| !is_mark(line)).collect();
    let parsed = yaml::parse(&format!("services:\n{}", list.join("\n"))).ok()?;
    let services = parsed.value["services"].as_array()?;
    services.first()?.as_object().filter(|first| is_service(first))?;
    let message = "this is a list of services, not a configuration of tbot";
    let help = "write `version: v2` and `services:` above it, and the other keys below";
    Some(Diagnostic::new(Code::OtherDocument, target.clone(), message).with_help(help))
}
