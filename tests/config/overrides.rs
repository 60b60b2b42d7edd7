//! Overrides, from flags, variables and join URIs: they set their own properties, and never hide an error of the file.

use serde_json::{Value, json};
use tbot::config::{LoadOptions, Override, OverrideSource, Purpose, load};
use tbot::diagnostic::Code;
use tbot::pointer::Pointer;

/// Properties that flags, variables or join URIs set.
const PROPERTIES: [&str; 8] = [
    "/onboarding/token",
    "/onboarding/join_method",
    "/onboarding/ca_pins",
    "/onboarding/gitlab/token_env_var_name",
    "/onboarding/bound_keypair/registration_secret",
    "/storage/path",
    "/services/-",
    "/services/0/destination/path",
];

/// Returns the codes of a file with overrides.
fn codes(file: &Value, overrides: &[Override]) -> Vec<Code> {
    let file = file.to_string();
    let loaded =
        load(Some(file.as_bytes()), overrides, LoadOptions { purpose: Purpose::Validate, process: None });
    loaded.diagnostics.iter().map(|diagnostic| diagnostic.code).collect()
}

/// Returns a file in which the value at a pointer is `value`, and each value above it is a map.
fn file_with(pointer: &str, value: Value) -> Value {
    let keys = pointer.split('/').skip(1).collect::<Vec<_>>();
    let mut file = keys.into_iter().rev().fold(value, |value, key| json!({ key: value }));
    file["version"] = "v2".into();
    file["proxy_server"] = "127.0.0.1:1".into();
    file
}

#[test]
fn an_override_below_a_value_of_another_type_does_not_hide_that() {
    let flag = OverrideSource::Flag("--flag".to_owned());
    for property in PROPERTIES {
        let above = property.match_indices('/').skip(1).map(|(end, _)| &property[..end]);
        for (pointer, value) in above.flat_map(|above| [(above, json!("hunter2")), (above, json!([["a"]]))]) {
            let file = file_with(pointer, value);
            let of_file = codes(&file, &[]);
            assert!(of_file.contains(&Code::WrongType), "{file}: {of_file:?}");
            let service = json!({ "type": "identity", "destination": { "type": "memory" } });
            let new = if property == "/services/-" { service } else { json!("a") };
            let value_override = Override::new(Pointer::from(property), new, flag.clone());
            assert_eq!(codes(&file, &[value_override]), of_file, "{file} with {property}");
        }
    }
}

#[test]
fn a_join_uri_next_to_a_value_of_another_type_does_not_hide_that() {
    for (method, onboarding) in
        [("token", json!("hunter2")), ("token", json!(["a"])), ("gitlab", json!({ "gitlab": ["a"] }))]
    {
        let join_uri = format!("tbot+proxy+{method}://abcdefgh:a@127.0.0.1:1");
        let file = json!({ "version": "v2", "join_uri": join_uri, "onboarding": onboarding });
        assert!(codes(&file, &[]).contains(&Code::WrongType), "{file}");
    }
}
