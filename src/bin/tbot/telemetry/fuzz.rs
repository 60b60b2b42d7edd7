//! The fuzz target `telemetry-environment`: whatever the environment contains, consent follows its rule, and the request has
//! nothing from the environment but the endpoint and the listed values of the variables that the event declares. And the fuzz target
//! `telemetry-response`: whatever the endpoint responds, the submission ends without a panic, which would end the agent.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::ffi::OsStringExt as _;

use clap::Parser as _;
use tbot::agent::{Environment, error_line};
use tbot::config::{EffectiveConfig, Purpose, load};
use tbot::event::internal::Rules;

use super::submit::submit;
use super::{ConsentDecision, TelemetryRequest};
use crate::cli::Cli;

const ID: &str = "00000000-0000-4000-8000-000000000000";
/// A value in the inputs of the corpora that may not be in the body of a request, nor in an error.
const CANARY: &str = "hunter2";

fn configuration() -> EffectiveConfig {
    let text = "version: v2\nproxy_server: a.example:443\nonboarding: {join_method: token, token: t}\n";
    load(Some(text), &[], Purpose::Validate).effective.unwrap()
}

/// Reads lines such as `NAME=value`. A NUL separates lines as well, as in `/proc/PID/environ`.
fn environment(bytes: &[u8]) -> Environment {
    let variables = bytes.split(|byte| matches!(byte, b'\n' | 0)).filter_map(|line| {
        let (name, value) = line.split_at(line.iter().position(|byte| *byte == b'=')?);
        Some((OsString::from_vec(name.to_vec()), OsString::from_vec(value[1..].to_vec())))
    });
    variables.collect()
}

/// States the rule for variables a second time.
fn is_on(environment: &Environment) -> bool {
    let value = |name| environment.get_os(name).map(|value| value.as_encoded_bytes().to_vec());
    let says_yes = value("TELEPORT_ANONYMOUS_TELEMETRY")
        .is_some_and(|value| [&b"1"[..], b"t", b"T", b"TRUE", b"true", b"True"].contains(&&*value));
    let says_no = value("DO_NOT_TRACK").is_some_and(|value| value != b"0" && value != b"false");
    says_yes && !says_no
}

#[test]
fn any_environment_has_a_decision_and_a_request_or_an_error() {
    let (effective, rules) = (configuration(), Rules::embedded().unwrap());
    let flags = Cli::parse_from(["tbot", "start"]).global;
    tbot_fuzz::fuzz("telemetry-environment", [], |bytes| {
        let environment = environment(bytes);
        let decision = ConsentDecision::for_run(&flags, &effective, &environment);
        assert_eq!(decision.on, is_on(&environment));
        assert!(!decision.to_json().to_string().contains(CANARY));
        let outcome = match TelemetryRequest::build(rules, &effective, &environment, ID) {
            Ok((request, event)) => {
                let url = request.endpoint.url();
                assert!(matches!(url.scheme(), "https" | "http") && url.username().is_empty());
                for (name, value) in &request.headers {
                    assert!(!format!("{name}{value}").contains(['\r', '\n']), "{name}: {value}");
                }
                assert!(!String::from_utf8_lossy(&request.body).contains(CANARY));
                assert!(!request.event.contains(CANARY));
                let proxy = request.endpoint.proxy().map(ToString::to_string);
                assert!(!proxy.as_ref().is_some_and(|proxy| proxy.contains("hunter2@")), "{proxy:?}");
                format!("{:?} {:?}", event.properties(), proxy.is_some())
            }
            Err(error) => {
                assert!(!format!("{error} {error:?} {:?}", error.hint()).contains(CANARY), "{error:?}");
                format!("{error:?}")
            }
        };
        (decision.on, outcome)
    });
}

/// Accepts a connection, reads a request with this body, and sends a response.
fn respond(listener: &TcpListener, body: &[u8], response: &[u8]) {
    let (mut stream, _) = listener.accept().unwrap();
    let mut received = Vec::new();
    while !received.ends_with(body) {
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer).unwrap();
        received.extend_from_slice(&buffer[..length]);
    }
    // The client may have read enough.
    let _ = stream.write_all(response);
}

#[test]
fn any_response_is_a_success_or_an_error_that_does_not_show_it() {
    let (effective, rules) = (configuration(), Rules::embedded().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let environment: Environment = [("TELEPORT_ANONYMOUS_TELEMETRY_ADDRESS", address)].into_iter().collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tbot_fuzz::fuzz("telemetry-response", [], |response| {
        let (request, _) = TelemetryRequest::build(rules, &effective, &environment, ID).unwrap();
        let body = request.body.clone();
        std::thread::scope(|scope| {
            scope.spawn(|| respond(&listener, &body, response));
            let error = runtime.block_on(submit(request, environment.clone())).err()?;
            let shown = format!("{} {error:?}", error_line(&error, error.hint().as_ref()));
            assert!(!shown.contains(CANARY), "{shown}");
            Some(shown)
        })
    });
}
