//! Reads the recordings of a real server (`tests/recordings`).

use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use prost::Message as _;
use serde::Deserialize;
use serde_json::Value;
use tbot_cluster::proto::Certs;

/// A recorded call. The HTTP join has no hex and no error.
#[derive(Debug, Deserialize)]
pub(crate) struct RecordedCall {
    pub(crate) method: String,
    pub(crate) request: Value,
    pub(crate) response: Value,
    #[serde(default)]
    pub(crate) request_hex: String,
    #[serde(default)]
    pub(crate) response_hex: String,
    #[serde(default)]
    pub(crate) error: String,
}

impl RecordedCall {
    pub(crate) fn request_bytes(&self) -> Vec<u8> {
        unhex(&self.request_hex)
    }

    pub(crate) fn response_bytes(&self) -> Vec<u8> {
        unhex(&self.response_hex)
    }
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|index| u8::from_str_radix(&hex[index..index + 2], 16).unwrap()).collect()
}

fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../recordings/teleport-15", name].iter().collect()
}

pub(crate) fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

pub(crate) fn json(name: &str) -> Value {
    serde_json::from_str(&text(name)).unwrap()
}

/// Returns the successful calls of one start of the agent. The failed ones are left out, because the Go agent tries the
/// wrong server first.
pub(crate) fn calls(name: &str) -> Vec<RecordedCall> {
    let mut calls: Vec<RecordedCall> = serde_json::from_str(&text(name)).unwrap();
    calls.retain(|call| call.error.is_empty());
    assert!(calls.len() > 10, "{name} lacks calls");
    calls
}

/// Returns the first call of `method` that the server refused.
pub(crate) fn refused_call(name: &str, method: &str) -> RecordedCall {
    let calls: Vec<RecordedCall> = serde_json::from_str(&text(name)).unwrap();
    calls.into_iter().find(|call| call.method == method && !call.error.is_empty()).unwrap()
}

/// Returns the successful calls of both starts.
pub(crate) fn all_calls() -> Vec<RecordedCall> {
    let mut calls = calls("first-join.json");
    calls.extend(self::calls("restart-renewal.json"));
    calls
}

/// Parses the certificates in the JSON response of a join.
pub(crate) fn join_certs(response: &Value) -> Certs {
    let one = |value: &Value| BASE64_STANDARD.decode(value.as_str().unwrap()).unwrap();
    let all = |value: &Value| value.as_array().unwrap().iter().map(one).collect();
    Certs {
        ssh: one(&response["ssh"]),
        tls: one(&response["tls"]),
        tls_ca_certs: all(&response["tls_ca_certs"]),
        ssh_ca_certs: all(&response["ssh_ca_certs"]),
    }
}

/// The bot's certificates in the responses of the join and the renewal.
pub(crate) struct RecordedCerts {
    pub(crate) joined: Certs,
    pub(crate) renewed: Certs,
}

pub(crate) fn certs() -> RecordedCerts {
    let renewal = calls("restart-renewal.json").into_iter().find(|call| {
        call.method.ends_with("/GenerateUserCerts")
            && call.request["use_role_requests"].as_bool() != Some(true)
    });
    RecordedCerts {
        joined: join_certs(&calls("first-join.json")[0].response),
        renewed: Certs::decode(renewal.unwrap().response_bytes().as_slice()).unwrap(),
    }
}
