//! Reads the recordings of a real server.

use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use prost::Message as _;
use serde::Deserialize;
use serde_json::Value;
use tbot_cluster::proto::Certs;

/// One recorded call. The HTTP join has no hex and no error.
#[derive(Debug, Deserialize)]
pub(crate) struct Recorded {
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

impl Recorded {
    pub(crate) fn request_bytes(&self) -> Vec<u8> {
        unhex(&self.request_hex)
    }

    pub(crate) fn response_bytes(&self) -> Vec<u8> {
        unhex(&self.response_hex)
    }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
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

/// The calls of one start of the agent. Those that failed because the Go agent tried the wrong server first are left out.
pub(crate) fn calls(name: &str) -> Vec<Recorded> {
    let mut calls: Vec<Recorded> = serde_json::from_str(&text(name)).unwrap();
    calls.retain(|call| call.error.is_empty());
    assert!(calls.len() > 10, "{name} has lost its calls");
    calls
}

/// The first call of `method` that the server refused.
pub(crate) fn refused(name: &str, method: &str) -> Recorded {
    let calls: Vec<Recorded> = serde_json::from_str(&text(name)).unwrap();
    calls.into_iter().find(|call| call.method == method && !call.error.is_empty()).unwrap()
}

/// The calls of both starts.
pub(crate) fn all_calls() -> Vec<Recorded> {
    let mut calls = calls("first-join.json");
    calls.extend(self::calls("restart-renewal.json"));
    calls
}

/// The certificates in a join's JSON.
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

/// The replies that carry the bot's certificates: of the join, of the renewal.
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
