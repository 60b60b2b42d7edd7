//! A secret that is written in the wrong place of an otherwise real file does not appear in a report.

use std::path::PathBuf;

use serde_json::{Map, Value, json};
use tbot::config::{LoadOptions, ProcessContext, Purpose, load};
use tbot::diagnostic::{Code, Diagnostic, Report, ReportFormat, SourceFile, Target, Terminal, render};
use tbot::pointer::Pointer;
use tbot::yaml;

use crate::values::pointers;

/// Looks like a join token.
const CANARY: &str = "c0ffee5ec4e7c0ffee5ec4e7c0ffee00";
/// Looks like a PIN, or the id of an account.
const DIGITS: &str = "90210735190210735123";
/// Looks like a name.
const WORD: &str = "hunter-the-second";

const VERSION_1: &str = "
auth_server: teleport.example.com:443
storage: {directory: /var/lib/bot}
onboarding: {join_method: token, token: x, ca_pins: [pin]}
certificate_ttl: 1h
destinations:
  - directory: {path: /opt/a, symlinks: secure}
    database: {service: db, username: app}
    configs: [mongo]
";

const VERSION_2: &str = "
version: v2
proxy_server: teleport.example.com:443
onboarding: {join_method: token, token: x, ca_path: /etc/ca.pem}
storage: {type: directory, path: /var/lib/bot}
renewal_interval: 20m
diag_addr: 127.0.0.1:3001
services:
  - type: identity
    name: main
    destination: {type: kubernetes_secret, name: out, labels: {app: tbot}}
  - type: application-tunnel
    listen: tcp://127.0.0.1:8080
    app_name: web
    credential_ttl: 1h
  - {type: identity, destination: {type: kubernetes_secret, name: out}}
  - {type: identity, destination: {type: directory, path: /var/lib/bot/out}}
";

/// Returns the reports of a file in all formats, with an excerpt of every line and every value.
fn reports(text: &str) -> String {
    // With a process, locations are compared as well.
    let process = ProcessContext {
        working_directory: PathBuf::from("/work"),
        pod_namespace: None,
        resolve_links: None,
    };
    let outcome = load(Some(text), &[], LoadOptions { purpose: Purpose::Start, process: Some(process) });
    let disclosure = outcome.disclosure();
    let source = SourceFile::new("tbot.yaml", text, &disclosure);
    let mut diagnostics = outcome.diagnostics;
    let value = yaml::parse(text).map_or(Value::Null, |parsed| parsed.value);
    for pointer in pointers(&value) {
        let pointer = Pointer::from(pointer);
        for target in [Target::Key(pointer.clone()), Target::Value(pointer.clone())] {
            diagnostics.push(Diagnostic::new(Code::WrongType, target, format!("{}", diagnostics.len())));
        }
    }
    for (start, _) in text.match_indices('\n') {
        let span = source.positions().span(start.saturating_sub(1), start);
        diagnostics.push(Diagnostic::new(Code::WrongType, Target::Span(span), format!("{start}")));
    }
    let report = [Report::new(&source, diagnostics)];
    let mut out = String::new();
    for format in [ReportFormat::Human, ReportFormat::Json, ReportFormat::Github, ReportFormat::Sarif] {
        render(&mut out, format, Terminal::default(), &report).unwrap();
    }
    out
}

/// Writes a value as YAML, in which the string `ALIAS` becomes an alias, and the key `MERGE` a merge, of a secret that is
/// defined above.
fn with_references(value: &Value, definition: &str) -> String {
    let text = serde_yaml::to_string(value).unwrap();
    definition.to_owned() + &text.replace("ALIAS", "*canary").replace("MERGE: null", "<<: *canary")
}

/// Replaces the key at a pointer, or gives it another value.
fn edit(base: &Value, pointer: &str, edit: impl Fn(&mut Map<String, Value>, &str)) -> Value {
    let mut value = base.clone();
    if let Some((parent, key)) = pointer.rsplit_once('/')
        && let Some(Value::Object(map)) = value.pointer_mut(parent)
    {
        edit(map, key);
    }
    value
}

fn files() -> Vec<String> {
    let mut files = Vec::new();
    for text in [VERSION_1, VERSION_2] {
        let base = yaml::parse(text).unwrap().value;
        for pointer in pointers(&base) {
            let Some(Value::String(original)) = base.pointer(&pointer) else { continue };
            let replace = |new: Value| {
                let mut value = base.clone();
                *value.pointer_mut(&pointer).unwrap() = new;
                value
            };
            for new in [
                json!(CANARY),
                json!(DIGITS),
                json!([CANARY]),
                json!({ CANARY: 1 }),
                json!({ "token": CANARY }),
                json!(format!("tbot+proxy+token://{CANARY}@teleport.example.com:443")),
                json!(format!("https://bot:{CANARY}@teleport.example.com")),
                json!(format!("bot:{CANARY}@teleport.example.com:443")),
                json!(format!("teleport.example.com:{CANARY}")),
            ] {
                files.push(serde_yaml::to_string(&replace(new)).unwrap());
            }
            for definition in [
                format!("holder: &canary {CANARY}\n"),
                format!("holder: {{token: &canary {CANARY}}}\n"),
                format!("holder:\n  &canary {CANARY}: 1\n"),
            ] {
                files.push(with_references(&replace(json!("ALIAS")), &definition));
            }
            let key = pointer.rsplit('/').next().unwrap();
            let merged = edit(&base, &pointer, |map, key| {
                map.insert("MERGE".to_owned(), Value::Null);
                map.shift_remove(key);
            });
            files.push(with_references(&merged, &format!("holder: &canary {{{key}: {CANARY}}}\n")));
            let shadowed = edit(&base, &pointer, |map, _| drop(map.insert("MERGE".to_owned(), Value::Null)));
            files.push(with_references(&shadowed, &format!("holder: &canary {{{key}: {CANARY}}}\n")));
            let renamed = edit(&base, &pointer, |map, key| {
                let value = map.shift_remove(key).unwrap_or_default();
                map.insert(CANARY.to_owned(), value);
            });
            files.push(serde_yaml::to_string(&renamed).unwrap());
            // The line of the value is indented too much, too little, or by a tab.
            let text = serde_yaml::to_string(&replace(json!(CANARY))).unwrap();
            let line = text.lines().find(|line| line.contains(CANARY)).unwrap_or(original);
            for indented in [format!(" {line}"), line.trim_start().to_owned(), format!("\t{line}")] {
                files.push(text.replacen(line, &indented, 1));
            }
            files.push(text.replacen(&format!(": {CANARY}"), &format!(":{CANARY}"), 1));
            files.push(text.replacen(CANARY, &format!("\"{CANARY}"), 1));
            files.push(text.replacen(line, &format!("{line}\n{line}"), 1));
        }
    }
    files
}

#[test]
fn no_report_shows_a_canary() {
    let files = files();
    assert!(files.len() > 140, "only {}", files.len());
    for file in &files {
        let reports = reports(file);
        let leak = reports.lines().find(|line| line.contains(&CANARY[..8]) || line.contains(&DIGITS[..8]));
        assert_eq!(leak, None, "report of\n{file}");
    }
}

#[test]
fn user_information_in_an_address_is_not_shown() {
    for address in [
        "app:PASSWORD@teleport.example.com:443",
        "https://app:PASSWORD@teleport.example.com",
        "PASSWORD@auth:3025",
    ] {
        let address = address.replace("PASSWORD", WORD);
        for key in ["proxy_server", "auth_server", "diag_addr", "join_uri"] {
            let reports = reports(&format!("version: v2\n{key}: {address}\n"));
            assert!(!reports.contains(WORD), "{reports}");
            assert!(reports.contains(&format!("{key}: ***")), "{reports}");
        }
    }
}

#[test]
fn the_name_of_a_label_is_not_shown() {
    for text in [
        format!("{{type: kubernetes_secret, name: x, labels: {{{WORD}: 5}}}}"),
        format!("{{type: kubernetes_secret, name: x, labels: {{{WORD}: a, {WORD}: b}}}}"),
        format!("{{type: kubernetes_secret, name: {{{WORD}: a}}}}"),
    ] {
        let file = format!("version: v2\nservices:\n  - type: identity\n    destination: {text}\n");
        let reports = reports(&file);
        assert!(!reports.contains(WORD), "{reports}");
    }
}

#[test]
fn harmless_values_are_shown() {
    let text = "\
version: v2
proxy_server: teleport.example.com
services:
  - &base
    type: identity
    destination: {type: directory, path: /opt/out, symlinks: secure}
    ttl: 1h
  - *base
  - {type: ssh_client, type: identity}
";
    for text in [text.to_owned(), text.replace(", type: identity}", "}")] {
        let reports = reports(&text);
        for shown in ["type: identity", "type: directory", "symlinks: secure"] {
            assert!(reports.contains(shown), "{reports}");
        }
    }
    let reports = reports(&text.replace(", type: identity}", "}"));
    for shown in ["proxy_server: teleport.example.com", "path: /opt/out", "type: ssh_client"] {
        assert!(reports.contains(shown), "{reports}");
    }
}
