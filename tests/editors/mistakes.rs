//! Each directory under `tests/cases/editors` has a file with one mistake. Every tool names this mistake first, and the editor
//! underlines nothing else. The schema is that of the version of the file.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::language_server::{LanguageServer, SCHEMA_COMMENT};
use crate::tools::{repository_file, tool};

const SCHEMAS: [(&str, &str); 2] =
    [("version: v1\n", "schema/tbot-v1.schema.json"), ("version: v", "schema/tbot.schema.json")];

/// The keywords that the schemas of the configuration add to JSON Schema, and those that the schema of the event also adds.
const KEYWORDS: [&str; 4] = ["enumDescriptions", "patternErrorMessage", "x-access", "x-sensitivity"];
const EVENT_KEYWORDS: [&str; 8] = [
    "x-implementations",
    "x-reason",
    "x-report",
    "x-since",
    "x-source",
    "x-transport",
    "x-version",
    "x-wire",
];

/// A file with a mistake.
struct Case {
    path: PathBuf,
    text: String,
}

/// Returns the cases of each schema.
fn cases() -> [(&'static str, Vec<Case>); 2] {
    let mut cases = SCHEMAS.map(|(_, schema)| (schema, Vec::new()));
    for directory in fs::read_dir(repository_file("tests/cases/editors")).unwrap() {
        let path = directory.unwrap().path().join("tbot.yaml");
        let text = fs::read_to_string(&path).unwrap();
        let index = SCHEMAS.iter().position(|(line, _)| text.starts_with(line)).unwrap();
        cases[index].1.push(Case { path, text });
    }
    cases
}

#[test]
#[ignore = "needs yaml-language-server, ajv and check-jsonschema: .ci/editors"]
fn every_tool_names_the_mistake() {
    let mut compared = 0;
    for (schema, cases) in cases() {
        let ajv = ajv(schema, &KEYWORDS, cases.iter().map(|case| serde_yaml::from_str(&case.text).unwrap()));
        let check_jsonschema = check_jsonschema(schema, &cases);
        let mut server = LanguageServer::start(schema);
        for (index, case) in cases.iter().enumerate() {
            let underlined = underlined(&mut server, &case.text);
            let [language_server] = underlined.as_slice() else {
                panic!("{}: {} diagnostics: {underlined:#?}", case.path.display(), underlined.len())
            };
            let reports = format!(
                "ajv: {}\ncheck-jsonschema: {}\nyaml-language-server: {language_server}",
                ajv[index], check_jsonschema[index]
            );
            let mut settings = insta::Settings::clone_current();
            settings.set_snapshot_path(case.path.parent().unwrap());
            settings.set_prepend_module_to_snapshot(false);
            settings.set_omit_expression(true);
            settings.bind(|| insta::assert_snapshot!("reports", reports));
            compared += 1;
        }
    }
    assert!(compared >= 20, "only {compared} cases");
}

/// Returns the first error of ajv in strict mode for each value.
fn ajv(schema: &str, keywords: &[&str], values: impl Iterator<Item = Value>) -> Vec<String> {
    let mut process = Command::new("node")
        .arg(repository_file("tests/editors/ajv.js"))
        .args([tool("node_modules"), repository_file(schema)])
        .args(keywords)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run node: {error}"));
    let lines: String = values.map(|value| format!("{value}\n")).collect();
    process.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success(), "ajv rejects {schema}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Returns the first error of check-jsonschema for each case.
fn check_jsonschema(schema: &str, cases: &[Case]) -> Vec<String> {
    let output = Command::new(tool("python/bin/check-jsonschema"))
        .args(["--output-format", "json", "--schemafile"])
        .arg(repository_file(schema))
        .args(cases.iter().map(|case| &case.path))
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let errors = report["errors"].as_array().unwrap();
    let first = |case: &Case| {
        let error = errors.iter().find(|error| error["filename"] == case.path.to_str().unwrap()).unwrap();
        format!("{} {}", error["path"].as_str().unwrap(), error["message"].as_str().unwrap())
    };
    cases.iter().map(first).collect()
}

/// Returns what the language server underlines in a file, with its messages.
fn underlined(server: &mut LanguageServer, text: &str) -> Vec<String> {
    let text = format!("{SCHEMA_COMMENT}{text}");
    let uri = server.open(&text);
    let describe = |diagnostic: &Value| {
        let position = |name: &str, part: &str| {
            usize::try_from(diagnostic["range"][name][part].as_u64().unwrap()).unwrap()
        };
        let line = text.lines().nth(position("start", "line")).unwrap();
        let is_one_line = position("start", "line") == position("end", "line");
        let end = if is_one_line { position("end", "character") } else { line.len() };
        let underlined = &line[position("start", "character")..end];
        format!("`{underlined}` {}", diagnostic["message"].as_str().unwrap())
    };
    server.diagnostics(&uri).iter().map(describe).collect()
}

#[test]
#[ignore = "needs yaml-language-server: .ci/editors"]
fn the_editor_underlines_every_mistake_once() {
    let text = "\
version: v2
proxy_servers: teleport.example.com:443
credential_ttl: 60
onboarding:
  join_method: gitub
services:
  - type: identiy
  - type: database
    service: postgres
    destination:
      type: directory
      path: /opt/machine-id
      symlinks: try_secure
";
    let mut server = LanguageServer::start(SCHEMAS[1].1);
    let underlined = underlined(&mut server, text);
    let mut mistakes: Vec<&str> =
        underlined.iter().map(|mistake| mistake.split('`').nth(1).unwrap()).collect();
    mistakes.sort_unstable();
    assert_eq!(mistakes, ["60", "gitub", "identiy", "proxy_servers", "try_secure"], "{underlined:#?}");
}

#[test]
#[ignore = "needs yaml-language-server: .ci/editors"]
fn the_editor_underlines_nothing_in_a_valid_file() {
    for (schema, name) in [(SCHEMAS[0].1, "version-1-all-fields"), (SCHEMAS[1].1, "all-fields")] {
        let text =
            fs::read_to_string(repository_file(&format!("tests/cases/validate/{name}/tbot.yaml"))).unwrap();
        assert_eq!(underlined(&mut LanguageServer::start(schema), &text), [""; 0], "{name}");
    }
}

#[test]
#[ignore = "needs ajv: .ci/editors"]
fn ajv_compiles_the_schema_of_the_event_in_strict_mode() {
    let keywords = [&KEYWORDS[..], &EVENT_KEYWORDS].concat();
    let reports = ajv("schema/tbot.start.schema.json", &keywords, [Value::Null].into_iter());
    assert_eq!(reports, ["/ must be object (type: object)"]);
}

#[test]
fn the_page_lists_the_keywords_that_a_strict_validator_must_accept() {
    let page = fs::read_to_string(repository_file("docs/configuration.md")).unwrap();
    for keyword in KEYWORDS {
        assert!(page.contains(&format!("`{keyword}`")), "{keyword} is not in docs/configuration.md");
    }
}
