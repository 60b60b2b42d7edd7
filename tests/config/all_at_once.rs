//! One mistake in the structure of a file does not hide the other findings.

use serde_json::{Map, Value, json};
use tbot::config::{Override, OverrideSource, Purpose, load};
use tbot::diagnostic::{Code, Diagnostic, Severity};
use tbot::pointer::Pointer;
use tbot::yaml;

use crate::values::pointers;

const VERSION_1: &str = "
auth_server: teleport.example.com
certificate_ttl: 1h
renewal_interval: 2h
storage: {directory: ~/bot}
destinations:
  - directory: /opt/shared
    roles: [access]
  - directory: {path: /opt/shared, symlinks: insecure}
    database: {service: db, username: app}
    configs: [mongo]
";

const VERSION_2: &str = include_str!("../cases/validate/all-fields/tbot.yaml");

fn findings(value: &Value) -> Vec<Diagnostic> {
    load(Some(&serde_json::to_string(value).unwrap()), &[], Purpose::Validate).diagnostics
}

/// Returns whether a diagnostic refers to a value at or below a pointer.
fn touches(diagnostic: &Diagnostic, pointer: &str) -> bool {
    let related = diagnostic.related.as_ref().and_then(|(_, target)| target.pointer());
    diagnostic.target.pointer().into_iter().chain(related).any(|at| {
        at.as_str().strip_prefix(pointer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

fn rename(map: &Map<String, Value>, from: &str, to: &str) -> Map<String, Value> {
    map.iter().map(|(key, value)| (if key == from { to } else { key }.to_owned(), value.clone())).collect()
}

#[test]
fn a_misspelled_key_hides_no_other_finding() {
    let (mut renamed, mut lost) = (0, Vec::new());
    for text in [VERSION_1, VERSION_2] {
        let base = yaml::parse(text).unwrap().value;
        let expected = findings(&base);
        assert!(expected.len() > 5, "{expected:?}");
        // Every seventh is enough for a file in which most properties occur several times.
        let step = if text == VERSION_1 { 1 } else { 7 };
        for pointer in pointers(&base).into_iter().step_by(step) {
            let Some((parent, key)) = pointer.rsplit_once('/') else { continue };
            if key.len() < 5 || key == "version" || matches!(key, "services" | "outputs" | "destinations") {
                continue;
            }
            let mut value = base.clone();
            let Some(Value::Object(map)) = value.pointer_mut(parent) else { continue };
            let misspelled = format!("{key}x");
            *map = rename(map, key, &misspelled);
            let found = findings(&value);
            // A label may have any name.
            if !found.iter().any(|one| one.code == Code::UnknownKey) {
                continue;
            }
            renamed += 1;
            for one in expected.iter().filter(|one| !touches(one, &pointer)) {
                if !found.iter().any(|other| (other.code, &other.target) == (one.code, &one.target)) {
                    lost.push(format!("{misspelled} at {parent} hides {one:?}"));
                }
            }
        }
    }
    assert!(lost.is_empty(), "{} of {renamed}:\n{}", lost.len(), lost.join("\n"));
    assert!(renamed > 30, "only {renamed} keys were renamed");
}

/// Returns the errors of a start at which the flag `name` sets `value` at `pointer`.
fn errors_with_flag(file: &str, name: &str, pointer: &str, value: Value) -> Vec<Diagnostic> {
    let flag = Override::new(Pointer::from(pointer), value, OverrideSource::Flag(name.to_owned()));
    let outcome = load(Some(file), &[flag], Purpose::Start);
    outcome.diagnostics.into_iter().filter(|one| one.severity == Severity::Error).collect()
}

fn codes(diagnostics: &[Diagnostic]) -> Vec<Code> {
    diagnostics.iter().map(|one| one.code).collect()
}

#[test]
fn the_contents_of_a_misspelled_key_are_merged_with_those_of_the_right_key() {
    let file = |rest: &str| {
        format!("version: v2\nproxy_server: a.example.com:443\nstorage: {{type: memory}}\n{rest}")
    };
    let service = "services: [{type: identity, destination: {type: memory}}]\n";
    for (rest, pointer, value) in [
        ("xonboarding: {join_method: github}\n", "/onboarding/token", json!("a")),
        ("xonboarding: {token: a}\n", "/onboarding/join_method", json!("github")),
        ("onboarding: {join_method: github}\nxonboarding: {token: a}\n", "/debug", json!(true)),
        ("onboarding: {}\nxonboarding: {join_method: github, token: a}\n", "/debug", json!(true)),
        ("onboarding:\nxonboarding: {join_method: github, token: a}\n", "/debug", json!(true)),
    ] {
        let found = errors_with_flag(&(file(rest) + service), "--flag", pointer, value);
        assert_eq!(codes(&found), [Code::UnknownKey], "{rest} with {pointer}");
        assert!(found[0].help.as_deref().unwrap().contains("`onboarding`"), "{rest} with {pointer}");
    }

    let appended = json!({ "type": "identity", "destination": { "type": "directory", "path": "a" } });
    let onboarding = "onboarding: {join_method: github, token: a}\n";
    let services = "xservices: [{type: identity, destination: {type: directory, path: ''}}]\n";
    let errors = errors_with_flag(&(file(onboarding) + services), "--flag", "/services/-", appended);
    assert_eq!(
        codes(&errors),
        [Code::UnknownKey, Code::EmptyValue],
        "the entries of the misspelled list are checked"
    );
}

#[test]
fn a_join_uri_that_cannot_be_read_is_the_only_error() {
    for (uri, code) in [
        ("|\n  tbot+proxy+token://a@b.example.com:443", Code::StrayCharacter),
        ("' tbot+proxy+token://a@b.example.com:443'", Code::StrayCharacter),
        ("“tbot+proxy+token://a@b.example.com:443”", Code::StrayCharacter),
        ("'{{ join_uri }}'", Code::Placeholder),
        ("tbot+proxy", Code::InvalidJoinUri),
    ] {
        let file = format!("version: v2\njoin_uri: {uri}\n");
        let errors = errors_with_flag(&file, "--flag", "/debug", json!(true));
        assert_eq!(codes(&errors), [code], "{uri}");
    }
    let errors = errors_with_flag("version: v2\n", "--join-uri", "/join_uri", json!("$JOIN_URI"));
    assert_eq!(codes(&errors), [Code::Placeholder]);
}

#[test]
fn an_invalid_value_hides_no_finding_elsewhere() {
    let mut lost = Vec::new();
    for text in [VERSION_1, VERSION_2] {
        let base = yaml::parse(text).unwrap().value;
        let expected = findings(&base);
        let step = if text == VERSION_1 { 1 } else { 7 };
        for pointer in pointers(&base).into_iter().step_by(step) {
            let is_type = pointer.ends_with("/type");
            let is_whole_file =
                pointer.is_empty() || pointer == "/version" || pointer.matches('/').count() == 1;
            if is_whole_file || is_type || !base.pointer(&pointer).is_some_and(Value::is_string) {
                continue;
            }
            let mut value = base.clone();
            *value.pointer_mut(&pointer).unwrap() = serde_json::json!([[]]);
            let found = findings(&value);
            // A finding in the same map may depend on the value.
            let (parent, _) = pointer.rsplit_once('/').unwrap();
            for one in expected.iter().filter(|one| !touches(one, parent)) {
                if !found.iter().any(|other| (other.code, &other.target) == (one.code, &one.target)) {
                    lost.push(format!("{pointer} hides {one:?}"));
                }
            }
        }
    }
    assert!(lost.is_empty(), "{}", lost.join("\n"));
}

#[test]
fn a_duplicate_key_or_anchor_hides_no_other_finding() {
    let duplicates = [
        ("debug: true\ndebug: true\n", Code::DuplicateKey),
        ("debug: &a true\noneshot: &a false\n", Code::AnchorRedefined),
    ];
    for (base, (duplicate, code)) in [VERSION_1, "version: v2\nfipss: true\nproxy_server: ':443'\n"]
        .into_iter()
        .flat_map(|base| duplicates.map(|duplicate| (base, duplicate)))
    {
        let found = |text: &str| {
            let found = load(Some(text), &[], Purpose::Validate).diagnostics.into_iter();
            found.map(|one| (one.code, one.target)).collect::<Vec<_>>()
        };
        let all = found(&format!("{base}{duplicate}"));
        assert!(all.iter().any(|(found, _)| *found == code), "{all:?}");
        let lost: Vec<_> = found(base).into_iter().filter(|one| !all.contains(one)).collect();
        assert!(lost.is_empty(), "{code} hides {lost:?}");
    }
}

/// Returns the findings about a value, in the JSON of which one part is replaced by YAML.
fn findings_with(value: &Value, part: &str, replacement: &str) -> Vec<Diagnostic> {
    let text = serde_json::to_string(value).unwrap();
    assert_eq!(text.matches(part).count(), 1, "{text}");
    load(Some(&text.replace(part, replacement)), &[], Purpose::Validate).diagnostics
}

const PLACEHOLDER: &str = "replaced-by-the-test";

/// The values that cannot be read, as they are written in a file.
const UNREADABLE: [(&str, Code); 4] = [
    (" !x y", Code::YamlTag),
    (" !!float 1", Code::YamlTag),
    (" .inf", Code::NumberNotFinite),
    (" {{ .Values.x }}", Code::Placeholder),
];

#[test]
fn an_unreadable_value_hides_no_finding_elsewhere_and_causes_no_other_error() {
    let mut problems = Vec::new();
    let mut replaced = 0;
    for text in [VERSION_1, VERSION_2] {
        let base = yaml::parse(text).unwrap().value;
        let expected = findings(&base);
        let step = if text == VERSION_1 { 1 } else { 7 };
        for (index, pointer) in pointers(&base).into_iter().step_by(step).enumerate() {
            if pointer.is_empty() || base.pointer(&pointer).is_some_and(Value::is_object) {
                continue;
            }
            let (written, code) = UNREADABLE[index % UNREADABLE.len()];
            let mut value = base.clone();
            *value.pointer_mut(&pointer).unwrap() = PLACEHOLDER.into();
            let found = findings_with(&value, &format!("\"{PLACEHOLDER}\""), written);
            replaced += 1;
            let unreadable = found.iter().filter(|one| one.code == code).count();
            if unreadable != 1 {
                problems.push(format!("{pointer}: {unreadable} findings {code}"));
            }
            // A finding in the same map, or about a whole service, may depend on the value.
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            let is_lost = |one: &&Diagnostic| {
                !found.iter().any(|other| (other.code, &other.target) == (one.code, &one.target))
            };
            if key != "version" && key != "type" {
                let lost = expected.iter().filter(|one| !touches(one, parent)).filter(is_lost);
                problems.extend(lost.map(|one| format!("{written} at {pointer} hides {one:?}")));
            }
            let is_new = |one: &&Diagnostic| {
                one.code != code
                    && one.severity == Severity::Error
                    && !expected.iter().any(|other| (other.code, &other.target) == (one.code, &one.target))
            };
            problems.extend(
                found.iter().filter(is_new).map(|one| format!("{written} at {pointer} causes {one:?}")),
            );
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(replaced > 50, "only {replaced} values were replaced");
}

#[test]
fn a_key_that_is_not_a_string_or_an_impossible_merge_hides_no_other_finding() {
    let mut lost = Vec::new();
    let mut maps = 0;
    for text in [VERSION_1, VERSION_2] {
        let base = yaml::parse(text).unwrap().value;
        let expected = findings(&base);
        let step = if text == VERSION_1 { 1 } else { 5 };
        let is_map = |pointer: &String| base.pointer(pointer).is_some_and(Value::is_object);
        for (index, pointer) in pointers(&base).into_iter().filter(is_map).step_by(step).enumerate() {
            let (written, code) =
                [("5", Code::KeyNotString), ("[a]", Code::KeyNotString), ("<<", Code::YamlMerge)][index % 3];
            let mut value = base.clone();
            value.pointer_mut(&pointer).unwrap()[PLACEHOLDER] = 1.into();
            let found = findings_with(&value, &format!("\"{PLACEHOLDER}\":1"), &format!("{written}: 1"));
            maps += 1;
            assert_eq!(
                found.iter().filter(|one| one.code == code).count(),
                1,
                "{written} at {pointer}: {found:?}"
            );
            let is_lost = |one: &&Diagnostic| {
                !found.iter().any(|other| (other.code, &other.target) == (one.code, &one.target))
            };
            // What a map lacks may be what could not be read.
            let may_be_explained = |one: &&Diagnostic| {
                matches!(
                    one.code,
                    Code::ExactlyOne
                        | Code::IncompleteLifetime
                        | Code::RequiresOther
                        | Code::InvalidV1
                        | Code::MissingJoinMethod
                        | Code::MissingToken
                )
            };
            lost.extend(
                expected
                    .iter()
                    .filter(|one| !may_be_explained(one))
                    .filter(is_lost)
                    .map(|one| format!("{written} at {pointer} hides {one:?}")),
            );
        }
    }
    assert!(lost.is_empty(), "{}", lost.join("\n"));
    assert!(maps > 10, "only {maps} maps were changed");
}

#[test]
fn a_join_uri_that_conflicts_supplies_what_the_file_lacks() {
    use Code::{BothAddresses, JoinUriConflict, NothingToDeliver, UnverifiedAuthServer};
    let uri = "tbot+proxy+github://ci@teleport.example.com:443";
    for (rest, expected) in [
        ("proxy_server: 'other.example.com:443'", &[JoinUriConflict][..]),
        ("auth_server: 'other.example.com:3025'", &[JoinUriConflict, UnverifiedAuthServer]),
        ("proxy_server: 'a:1', auth_server: 'b:1'", &[JoinUriConflict, JoinUriConflict, BothAddresses]),
        ("onboarding: {join_method: gitlab}", &[JoinUriConflict]),
        ("onboarding: {token: other}", &[JoinUriConflict]),
    ] {
        for purpose in [Purpose::Start, Purpose::Validate] {
            let file = format!("{{version: v2, join_uri: '{uri}', {rest}}}");
            let found = load(Some(&file), &[], purpose).diagnostics;
            let mut codes: Vec<Code> = found.iter().map(|one| one.code).collect();
            let mut expected = [expected, &[NothingToDeliver]].concat();
            codes.sort();
            expected.sort();
            assert_eq!(codes, expected, "{file}");
        }
    }
}

#[test]
fn a_service_of_unknown_type_hides_no_finding_elsewhere() {
    let text = "{version: v2, proxy_server: 'teleport.example.com:443', onboarding: {join_method: token}, \
                services: [{type: nonsense}, {type: identity, roles: [a], destination: {type: directory, path: /a}}, 5]}";
    let found = load(Some(text), &[], Purpose::Validate).diagnostics;
    let mut codes: Vec<Code> = found.iter().map(|one| one.code).collect();
    codes.sort();
    assert_eq!(codes, [Code::WrongType, Code::UnknownValue, Code::Deprecated]);
}

#[test]
fn a_missing_part_is_reported_unless_another_error_explains_it() {
    use Code::{MissingAddress, MissingJoinMethod, MissingToken, NothingToDeliver};
    let missing = [MissingAddress, MissingJoinMethod, MissingToken, NothingToDeliver];
    for (file, expected) in [
        ("{version: v2, debug: 5}", &[NothingToDeliver, MissingAddress, MissingJoinMethod][..]),
        ("{version: v2, debgu: true}", &[NothingToDeliver, MissingAddress, MissingJoinMethod]),
        // The name of a key says whether it may be what is missing.
        ("{version: v2, nonsense: 5}", &[NothingToDeliver, MissingAddress, MissingJoinMethod]),
        // The entry cannot be converted without its directory.
        (
            "{auth_server: 'a:443', onboarding: {join_method: iam, token: a}, destinations: [{store: {}}]}",
            &[],
        ),
        ("{version: v2, server_name: a}", &[NothingToDeliver, MissingJoinMethod]),
        ("{version: v2, join_params: {}}", &[NothingToDeliver, MissingAddress]),
        ("{version: v2, serviceDefinitions: []}", &[MissingAddress, MissingJoinMethod]),
        ("{version: v2, my-services: []}", &[MissingAddress, MissingJoinMethod]),
        (
            "{version: v2, proxy_server: 'a:1', onboarding: {nonsense: 1}}",
            &[NothingToDeliver, MissingJoinMethod],
        ),
        ("{version: v2, proxy_server: 'a:1', onboarding: {join_via: 1}}", &[NothingToDeliver]),
        (
            "{version: v2, proxy_server: 'a:1', onboarding: {join_method: iam, nonsense: 1}}",
            &[NothingToDeliver, MissingToken],
        ),
        (
            "{version: v2, proxy_server: 'a:1', onboarding: {join_method: iam, token_id: 1}}",
            &[NothingToDeliver],
        ),
        ("{version: v2, proxy_server: [a], services: 5}", &[MissingJoinMethod]),
        ("{version: v2, join_uri: nonsense, services: []}", &[NothingToDeliver]),
        ("{version: v2, proxy_server: 'a:1', onboarding: {join_method: nonsense}}", &[NothingToDeliver]),
        (
            "{version: v2, proxy_server: 'a:1', onboarding: {join_method: github, token: [a]}}",
            &[NothingToDeliver],
        ),
        (
            "{version: v2, proxy_server: 'a:1', onboarding: {join_methd: github}}",
            &[NothingToDeliver, MissingToken],
        ),
    ] {
        let found = load(Some(file), &[], Purpose::Start).diagnostics;
        let mut codes: Vec<Code> =
            found.iter().map(|one| one.code).filter(|code| missing.contains(code)).collect();
        let mut expected = expected.to_vec();
        codes.sort();
        expected.sort();
        assert_eq!(codes, expected, "{file}");
    }
}
