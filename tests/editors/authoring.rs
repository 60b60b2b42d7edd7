//! Tests completion and hover in an editor.

use std::collections::BTreeSet;

use serde_json::Value;
use tbot::config::internal::schema;
use tbot::config::{JoinMethod, Service};

use crate::language_server::{LanguageServer, SCHEMA_COMMENT};

/// Marks the position of the cursor in a file.
const CURSOR: &str = "|";

/// Opens a file, and sends a request about the position of the cursor.
fn at_cursor(method: &str, text: &str) -> Value {
    let before = text.split_once(CURSOR).unwrap().0;
    let (line, character) =
        (before.matches('\n').count() + 1, before.len() - before.rfind('\n').map_or(0, |at| at + 1));
    let mut server = LanguageServer::start("schema/tbot.schema.json");
    let uri = server.open(&format!("{SCHEMA_COMMENT}{}", text.replace(CURSOR, "")));
    server.at_position(method, &uri, line, character)
}

/// Returns the labels of the completions at the cursor.
fn completions(text: &str) -> BTreeSet<String> {
    let result = at_cursor("textDocument/completion", text);
    let items = result["items"].as_array().or_else(|| result.as_array()).unwrap();
    items.iter().map(|item| item["label"].as_str().unwrap().to_owned()).collect()
}

fn assert_offered(offered: &BTreeSet<String>, expected: impl IntoIterator<Item = impl AsRef<str>>) {
    let missing: Vec<_> = expected
        .into_iter()
        .filter(|label| !offered.contains(label.as_ref()))
        .map(|label| label.as_ref().to_owned())
        .collect();
    assert!(missing.is_empty(), "{missing:?} is missing in {offered:?}");
}

fn property_names(pointer: &str) -> Vec<String> {
    let root = schema::generate();
    root.pointer(pointer).unwrap().as_object().unwrap().keys().cloned().collect()
}

#[test]
#[ignore = "needs yaml-language-server: .ci/editors"]
fn every_property_is_offered_at_the_top_level() {
    let names = property_names("/properties").into_iter().filter(|name| name != "version");
    assert_offered(&completions("version: v2\n|\n"), names);
}

#[test]
#[ignore = "needs yaml-language-server: .ci/editors"]
fn every_service_type_is_offered() {
    assert_offered(&completions("version: v2\nservices:\n  - type: |\n"), Service::TYPES);
}

#[test]
#[ignore = "needs yaml-language-server: .ci/editors"]
fn the_properties_of_the_service_type_are_offered() {
    let offered = completions("version: v2\nservices:\n  - type: database-tunnel\n    |\n");
    let names =
        property_names("/$defs/DatabaseTunnelService/properties").into_iter().filter(|name| name != "type");
    assert_offered(&offered, names);
    // Those of other types are not.
    for other in ["app_name", "format", "kubernetes_cluster"] {
        assert!(!offered.contains(other), "{other} is in {offered:?}");
    }
}

#[test]
#[ignore = "needs yaml-language-server: .ci/editors"]
fn a_new_service_begins_with_its_type() {
    assert_offered(&completions("version: v2\nservices:\n  - |\n"), ["type"]);
}

#[test]
#[ignore = "needs yaml-language-server: .ci/editors"]
fn every_destination_type_is_offered() {
    let offered =
        completions("version: v2\nservices:\n  - type: identity\n    destination:\n      type: |\n");
    assert_offered(&offered, ["directory", "memory", "kubernetes_secret"]);
    let offered = completions("version: v2\nstorage:\n  type: |\n");
    assert_offered(&offered, ["directory", "memory", "kubernetes_secret"]);
}

#[test]
#[ignore = "needs yaml-language-server: .ci/editors"]
fn the_properties_and_methods_of_onboarding_are_offered() {
    let offered = completions("version: v2\nonboarding:\n  |\n");
    assert_offered(&offered, property_names("/$defs/Onboarding/properties"));
    let offered = completions("version: v2\nonboarding:\n  join_method: |\n");
    assert_offered(&offered, JoinMethod::ALL.iter().map(|method| method.as_str()));
}

#[test]
#[ignore = "needs yaml-language-server: .ci/editors"]
fn hover_shows_the_description() {
    let hover = |text: &str| {
        let result = at_cursor("textDocument/hover", text);
        let shown = result["contents"]["value"].as_str().unwrap_or_else(|| panic!("no hover: {result}"));
        // The last line is the path of the schema, which the server sometimes leaves out.
        shown.split("\nSource: ").next().unwrap().trim_end().to_owned()
    };
    let hovers = [
        "version: v2\ncredential|_ttl: 1h\n",
        "version: v2\nonboarding:\n  join_|method: github\n",
        "version: v2\nonboarding:\n  join_method: git|hub\n",
        "version: v2\nservices:\n  - ty|pe: database\n",
        "version: v2\nservices:\n  - type: data|base\n",
        "version: v2\nservices:\n  - type: database\n    serv|ice: db\n    destination: {type: memory}\n",
        "version: v2\nstorage:\n  type: directory\n  pa|th: /a\n",
    ];
    let shown: Vec<String> = hovers.iter().map(|text| format!("{text}\n{}\n", hover(text))).collect();
    insta::assert_snapshot!(shown.join("----\n"));
}
