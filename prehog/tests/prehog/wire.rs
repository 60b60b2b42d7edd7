//! The wire protocol: valid events are stored with the properties of the event's schema, and invalid ones are rejected with
//! the name of the field.

use std::collections::BTreeSet;

use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::fixture::{
    SUBMIT_PATH, TestReceiver, body, client, client_builder, connect_error, fixed_clock, noon, schema, start,
    uuid,
};
use prehog::Options;
use tbot_documentation::root;

/// Requests of the Go agent, byte for byte.
const RECORDING: &str = include_str!("../recordings/telemetry-tbot-start.json");

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[tokio::test]
async fn recorded_requests_of_the_go_agent_are_stored() {
    let recorded: Vec<Value> = serde_json::from_str(RECORDING).unwrap();
    // The recorded timestamps are from 2026-11-22.
    let clock = fixed_clock(noon() + std::time::Duration::from_secs(4 * 86_400));
    let receiver = TestReceiver::start_with(Options { rate_limit: 0, ..Options::new(clock) }).await;
    for request in &recorded {
        let mut submit = client().post(receiver.url(request["path"].as_str().unwrap()));
        for (name, value) in request["headers"].as_object().unwrap() {
            if !["Host", "Transfer-Encoding"].contains(&name.as_str()) {
                submit = submit.header(name, value.as_str().unwrap());
            }
        }
        let response = submit.body(bytes(request["body"].as_str().unwrap())).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/proto");
        assert!(response.bytes().await.unwrap().is_empty());
    }
    let stored = receiver.stored();
    let helpers: Vec<_> = stored.iter().map(|(_, start, _)| start["helper"].as_str()).collect();
    assert_eq!(helpers, [Some("gha:teleport-actions/auth"), None]);
    let expected = json!({
        "run_mode": "one-shot",
        "version": "15.0.0-dev",
        "join_type": "github",
        "helper": "gha:teleport-actions/auth",
        "helper_version": "v1.2.3",
        "destinations_configured": 5,
        "destinations_configured_database_access": 1,
        "destinations_configured_kubernetes_access": 2,
        "destinations_configured_application_access": 1,
    });
    // All other properties are absent.
    assert_eq!(stored[0].1, Value::Object(schema().named_values(&start(expected))));
    receiver.stop().await;
}

#[tokio::test]
async fn the_request_of_this_agent_is_stored() {
    let rules = tbot::event::internal::Rules::embedded().unwrap();
    let event: Value =
        rules.properties.iter().map(|rule| (rule.name.clone(), rule.example.clone().unwrap())).collect();
    let start = serde_json::from_value(event.clone()).unwrap();
    let receiver = TestReceiver::start().await;
    let response = receiver.submit(&tbot::event::internal::request_body(rules, &start, &uuid(1))).await;
    assert_eq!((response.status().as_u16(), response.text().await.unwrap().as_str()), (200, "{}"));
    assert_eq!(receiver.stored(), [("2026-11-18".to_owned(), event, 1)]);
    receiver.stop().await;
}

/// gRPC over HTTP/2 without TLS, and gRPC-Web over HTTP/1.1.
#[tokio::test]
async fn grpc_and_grpc_web_are_supported() {
    let recorded: Vec<Value> = serde_json::from_str(RECORDING).unwrap();
    let clock = fixed_clock(noon() + std::time::Duration::from_secs(4 * 86_400));
    let receiver = TestReceiver::start_with(Options { rate_limit: 0, ..Options::new(clock) }).await;
    let message = bytes(recorded[0]["body"].as_str().unwrap());
    let grpc = client_builder().http2_prior_knowledge().build().unwrap();
    for (client, content_type) in [(grpc, "application/grpc"), (client(), "application/grpc-web+proto")] {
        for (message, expected) in [(message.as_slice(), "0"), (b"", "3")] {
            let length = u32::try_from(message.len()).unwrap().to_be_bytes();
            let request = client.post(receiver.url(SUBMIT_PATH)).header("Content-Type", content_type);
            let request = request.header("TE", "trailers").body([&[0], &length[..], message].concat());
            assert_eq!(grpc_status(request.send().await.unwrap()).await, expected, "{content_type}");
        }
    }
    // Both requests had the same event.
    assert_eq!(receiver.stored().iter().map(|(_, _, count)| count).sum::<u64>(), 1);
    receiver.stop().await;
}

/// Returns the gRPC status: from the headers if the response has no message, otherwise from the trailers, which gRPC-Web sends
/// in the last frame of the body.
async fn grpc_status(response: reqwest::Response) -> String {
    let status = |headers: &http::HeaderMap| Some(headers.get("grpc-status")?.to_str().unwrap().to_owned());
    if let Some(status) = status(response.headers()) {
        return status;
    }
    let mut frames = String::new();
    let mut body = http::Response::<reqwest::Body>::from(response).into_body();
    while let Some(frame) = body.frame().await {
        match frame.unwrap().into_data() {
            Ok(data) => frames += &String::from_utf8_lossy(&data),
            Err(frame) => return status(frame.trailers_ref().unwrap()).unwrap(),
        }
    }
    let (_, rest) = frames.split_once("grpc-status:").unwrap();
    rest.lines().next().unwrap().trim().to_owned()
}

#[tokio::test]
async fn a_repeated_submission_is_stored_once() {
    let receiver = TestReceiver::start().await;
    for _ in 0..3 {
        assert_eq!(receiver.submit(&body(&uuid(1))).await.status(), 200);
    }
    assert_eq!(receiver.submit(&body(&uuid(2))).await.status(), 200);
    // The receiver itself must find them, so wait before reading the store, which folds.
    receiver.wait_for("prehog_repeated_total", |repeated| repeated == 2).await;
    assert_eq!(receiver.stored()[0].2, 2);
    receiver.stop().await;
}

#[tokio::test]
async fn an_unknown_join_method_or_helper_becomes_other() {
    let receiver = TestReceiver::start().await;
    let mut event = body(&uuid(1));
    event["start"]["joinType"] = "quantum".into();
    event["start"]["helper"] = "/home/me/start.sh".into();
    event["start"]["helperVersion"] = "v1.2.3".into();
    assert_eq!(receiver.submit(&event).await.status(), 200);
    let stored = &receiver.stored()[0].1;
    assert_eq!((&stored["join_type"], &stored["helper"]), (&json!("other"), &json!("other")));
    assert!(stored.get("helper_version").is_none());
    receiver.stop().await;
}

/// Agents of both versions of the event, the Go agent, and unofficial builds.
#[tokio::test]
async fn the_value_of_a_version_never_makes_an_event_invalid() {
    let receiver = TestReceiver::start().await;
    let long = "1".repeat(6_000);
    let versions = [("0.1.0", "0.1.0"), ("19.0.0-dev.mine.1", "other"), ("mine", "other"), (&long, "other")];
    let helper_versions = [
        ("v1.2.3", Some("v1.2.3")),
        ("v1.2.3456", Some("v1.2")),
        ("2.0.0-beta.1", Some("2.0.0-beta")),
        ("v1234", None),
        ("mine", None),
        (&long, None),
    ];
    let mut number = 0;
    for (version, stored_version) in versions {
        for (helper_version, stored_helper_version) in helper_versions {
            number += 1;
            let mut event = body(&uuid(number));
            event["start"]["version"] = version.into();
            event["start"]["helper"] = "gha:teleport-actions/database-tunnel".into();
            event["start"]["helperVersion"] = helper_version.into();
            // Identifies the start among the stored ones.
            event["start"]["destinationsOther"] = number.into();
            event["start"]["destinationsDatabase"] = 0.into();
            assert_eq!(receiver.submit(&event).await.status(), 200, "start {number}");
            let stored = receiver.stored();
            let (_, start, _) =
                stored.iter().find(|(_, start, _)| start["destinations_configured"] == number).unwrap();
            let found = |name: &str| start.get(name).and_then(Value::as_str);
            assert_eq!(found("version"), Some(stored_version));
            assert_eq!(found("helper"), Some("gha:teleport-actions/database-tunnel"));
            assert_eq!(found("helper_version"), stored_helper_version);
        }
    }
    receiver.stop().await;
}

#[tokio::test]
async fn events_of_newer_and_older_agents_are_stored() {
    let receiver = TestReceiver::start().await;
    let mut newer = body(&uuid(1));
    newer["start"]["region"] = "eu".into();
    newer["tenant"] = json!({ "name": "somebody" });
    assert_eq!(receiver.submit(&newer).await.status(), 200);
    let older = json!({
        "distinctId": uuid(2),
        "start": { "runMode": 1, "version": "0.1.0", "joinType": "token" },
    });
    assert_eq!(receiver.submit(&older).await.status(), 200);
    let stored = receiver.stored();
    assert_eq!(stored.len(), 2);
    assert!(!format!("{stored:?}").contains("somebody"));
    receiver.stop().await;
}

/// Field 15 of the request, and field 20 of the start.
#[tokio::test]
async fn unknown_protobuf_fields_are_dropped() {
    let receiver = TestReceiver::start().await;
    let start = [&[8, 2, 18, 5][..], b"0.1.0", &[26, 5], b"token", &[0xA2, 1, 6], b"canary"].concat();
    let id = uuid(1);
    let request =
        [&[10, 36], id.as_bytes(), &[26, u8::try_from(start.len()).unwrap()], &start, &[0x7A, 6], b"canary"]
            .concat();
    let submit = client().post(receiver.url(SUBMIT_PATH)).header("Content-Type", "application/proto");
    assert_eq!(submit.body(request).send().await.unwrap().status(), 200);
    assert_eq!(receiver.stored()[0].1["join_type"], "token");
    let directory = receiver.stop().await;
    assert!(!crate::privacy::contents(directory.path()).contains("canary"));
}

#[tokio::test]
async fn an_invalid_field_is_named_and_counted() {
    let receiver = TestReceiver::start().await;
    let cases = [
        ("/distinctId", json!("6f1c8e0a-6f0e-1b53-9d0c-3f2a5f3e7b11"), "distinctId", "distinct_id"),
        ("/distinctId", json!(7), "distinctId", "distinct_id"),
        ("/timestamp", json!("2026-11-17T11:59:59Z"), "timestamp", "timestamp"),
        ("/timestamp", json!("2026-11-19T12:00:01Z"), "timestamp", "timestamp"),
        ("/timestamp", json!("yesterday"), "timestamp", "timestamp"),
        ("/start", Value::Null, "start", "event"),
        ("/start", json!("x"), "start", "event"),
        ("/start/runMode", json!("RUN_MODE_UNSPECIFIED"), "start.runMode", "run_mode"),
        ("/start/runMode", json!(3), "start.runMode", "run_mode"),
        ("/start/runMode", json!("RUN_MODE_SOMETIMES"), "start.runMode", "run_mode"),
        ("/start/version", json!(""), "start.version", "version"),
        ("/start/version", json!({}), "start.version", "version"),
        ("/start/joinType", json!(""), "start.joinType", "join_type"),
        ("/start/helperVersion", json!(7), "start.helperVersion", "helper_version"),
        ("/start/destinationsOther", json!(-1), "start.destinationsOther", "destinations_configured"),
        (
            "/start/destinationsOther",
            json!(2_147_483_647),
            "start.destinationsOther",
            "destinations_configured",
        ),
        (
            "/start/destinationsOther",
            json!(2_147_483_648_u64),
            "start.destinationsOther",
            "destinations_configured",
        ),
        (
            "/start/destinationsKubernetes",
            json!(1.5),
            "start.destinationsKubernetes",
            "destinations_configured_kubernetes_access",
        ),
    ];
    for (pointer, value, field, reason) in cases {
        let mut event = body(&uuid(1));
        event["timestamp"] = "2026-11-18T00:00:00Z".into();
        event["start"]["helper"] = "gha:teleport-actions/auth".into();
        for name in ["helperVersion", "destinationsKubernetes"] {
            event["start"][name] = Value::Null;
        }
        *event.pointer_mut(pointer).unwrap() = value.clone();
        let metric = format!("prehog_invalid_total{{reason=\"{reason}\"}}");
        let before = receiver.metric(&metric).await;
        let (status, code, message) = connect_error(receiver.submit(&event).await).await;
        assert_eq!((status, code.as_str()), (400, "invalid_argument"), "{pointer} {value}");
        assert!(message.starts_with(&format!("{field}: ")), "{pointer} {value}: {message}");
        assert_eq!(receiver.metric(&metric).await, before + 1, "{pointer} {value}");
    }
    assert_eq!(receiver.stored(), []);
    receiver.stop().await;
}

#[tokio::test]
async fn the_public_listener_serves_only_ingest_and_health() {
    let receiver = TestReceiver::start().await;
    assert_eq!(receiver.get("/livez").await.0, 200);
    assert_eq!(receiver.get("/readyz").await, (200, "ok\n".to_owned()));
    for path in [
        "/",
        "/metrics",
        "/report.json",
        "/report.csv",
        "/index.html",
        "/prehog.v1alpha.TbotReportingService/Other",
    ] {
        let (status, body) = receiver.get(path).await;
        assert!(status >= 400, "{path}: {status} {body}");
    }
    receiver.stop().await;
}

#[tokio::test]
async fn the_report_and_the_metrics_have_separate_listeners() {
    let receiver = TestReceiver::start().await;
    assert_eq!(receiver.get_report("/").await.0, 200);
    let (status, metrics) = receiver.get_metrics("/metrics").await;
    assert_eq!(status, 200);
    assert!(metrics.contains("prehog_events_total{result=\"stored\"} 0\n"), "{metrics}");
    assert_eq!(receiver.get_report("/metrics").await.0, 404);
    for path in ["/", SUBMIT_PATH] {
        assert_eq!(receiver.get_metrics(path).await.0, 404, "{path}");
    }
    receiver.stop().await;
}

/// Probes must not take a receiver for broken because its public listener is flooded.
#[tokio::test]
async fn health_checks_work_while_the_public_listener_is_full() {
    let options = Options { max_connections: 1, ..Options::new(fixed_clock(noon())) };
    let receiver = TestReceiver::start_with(options).await;
    // The client of the receiver keeps its connection.
    let mut other = tokio::net::TcpStream::connect(receiver.address).await.unwrap();
    other.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut response = Vec::new();
    other.read_to_end(&mut response).await.unwrap();
    assert!(response.starts_with(b"HTTP/1.1 429"));
    for path in ["/livez", "/readyz"] {
        assert_eq!(receiver.get_metrics(path).await.0, 200, "{path}");
    }
    receiver.stop().await;
}

/// Returns the names of metrics in a text: words with this prefix.
fn metric_names(text: &str, prefix: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with(prefix)).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_alerts_refer_to_metrics_that_exist() {
    let receiver = TestReceiver::start().await;
    let (_, metrics) = receiver.get_metrics("/metrics").await;
    let samples: Vec<&str> = metrics.lines().filter(|line| !line.starts_with('#')).collect();
    let exported = metric_names(&samples.join("\n"), "prehog_");
    for file in [
        "packaging/prometheus/prehog.yml",
        "packaging/prometheus/prehog.test.yml",
        "docs/operating-prehog.md",
    ] {
        let used = metric_names(&std::fs::read_to_string(root().join(file)).unwrap(), "prehog_");
        assert!(used.len() > 4, "{file}: {used:?}");
        assert_eq!(used.difference(&exported).next(), None, "{file} refers to it");
    }
}
