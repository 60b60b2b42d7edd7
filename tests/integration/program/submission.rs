//! Endpoints that fail in every way: the run ends as it would without telemetry, with one warning that contains no secret.

use tbot_cluster::{Cluster, ClusterConfig, clock};

use super::fake_server::{Behaviour, FakeServer};
use super::fixture::{CLOSED_PORT, FAILING_START, Finished, Telemetry, tbot};

fn run(telemetry: Telemetry<'_>) -> Finished {
    tbot(telemetry, &[&FAILING_START[..], &["--anonymous-telemetry-opt-in"]].concat()).run()
}

/// Returns the one warning about telemetry. The run itself must have failed as it does without telemetry.
fn warning(finished: &Finished) -> &str {
    assert_eq!(finished.status, Some(1), "{}", finished.stderr);
    match finished.telemetry_warnings().as_slice() {
        [one] => one,
        others => panic!("{others:?}\n{}", finished.stderr),
    }
}

/// Returns the reason in the one warning, which must name the address of the endpoint. Without a connection, it says that nothing was
/// sent, and otherwise that the endpoint has not confirmed the event.
fn reason<'a>(finished: &'a Finished, address: &str, is_connected: bool) -> &'a str {
    let warning = warning(finished);
    let path = "prehog.v1alpha.TbotReportingService/SubmitTbotEvent";
    let outcome = if is_connected { "was not confirmed by" } else { "was not sent to" };
    let prefix = format!("anonymous telemetry {outcome} {address}/{path}: ");
    warning.strip_prefix(&prefix).unwrap_or_else(|| panic!("{warning}"))
}

#[test]
fn a_refused_connection_causes_a_warning() {
    let finished = run(Telemetry::ClosedPort);
    insta::assert_snapshot!(reason(&finished, &format!("http://{CLOSED_PORT}"), false), @"tcp connect error: Connection refused (os error 111)");
}

#[test]
fn a_host_name_that_does_not_exist_causes_a_warning() {
    let address = "https://does-not-exist.invalid";
    let arguments = [&FAILING_START[..], &["--anonymous-telemetry-opt-in"]].concat();
    let finished = tbot(Telemetry::Address(address), &arguments).without_proxy().run();
    // The resolver may report that, or not respond in time.
    assert!(!reason(&finished, address, false).is_empty());
}

#[test]
fn a_server_that_does_not_speak_tls_causes_a_warning() {
    let server = FakeServer::new(Behaviour::NoTls);
    let finished = run(Telemetry::Address(&server.https_url()));
    insta::assert_snapshot!(reason(&finished, &server.https_url(), false), @"received corrupt message of type InvalidContentType; the server on this port does not use TLS (for example, it serves HTTP): use the port that does");
    assert_eq!(server.connections(), 1, "one attempt");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_of_the_endpoint_is_verified_even_if_the_agent_accepts_any() {
    let start = || Cluster::start(ClusterConfig::new(clock::system()));
    let (cluster, other) = (start().await.unwrap(), start().await.unwrap());
    // The proxy of a cluster has a certificate, and responds to this path with an error.
    let address = format!("https://{}", cluster.proxy_addr());
    let arguments = [&FAILING_START[..], &["--insecure", "--anonymous-telemetry-opt-in"]].concat();
    let run =
        |trusted: &Cluster| tbot(Telemetry::Address(&address), &arguments).trusting(trusted).run_blocking();
    let (trusted, untrusted) = (run(&cluster), run(&other));
    let response = reason(&trusted, &address, true);
    assert!(response.starts_with("the endpoint responded"), "{response}");
    assert!(!reason(&untrusted, &address, false).starts_with("the endpoint responded"));
}

#[test]
fn an_endpoint_that_never_responds_does_not_delay_the_exit() {
    let server = FakeServer::new(Behaviour::Silence);
    let finished = run(Telemetry::Server(&server));
    assert_eq!(server.closed_connections(), 0, "the endpoint still had the connection open");
    insta::assert_snapshot!(reason(&finished, &server.url(), true), @"the program exited before the endpoint responded");
    assert_eq!((server.connections(), server.requests().len()), (1, 1));
}

#[test]
fn an_endpoint_that_responds_byte_by_byte_does_not_delay_the_exit() {
    let server = FakeServer::new(Behaviour::Drip);
    let finished = run(Telemetry::Server(&server));
    insta::assert_snapshot!(reason(&finished, &server.url(), true), @"the program exited before the endpoint responded");
    assert_eq!(server.connections(), 1);
}

#[test]
fn an_error_response_is_described_only_by_its_status_and_known_code() {
    let mut reasons = Vec::new();
    for body in [
        "",
        "<h1>hunter2</h1>",
        r#"{"code":"hunter2","message":"hunter2"}"#,
        r#"{"code":"unavailable","message":"hunter2"}"#,
    ] {
        let server = FakeServer::new(Behaviour::respond("500 hunter2", body));
        let finished = run(Telemetry::Server(&server));
        reasons.push(reason(&finished, &server.url(), true).to_owned());
        assert_eq!(server.connections(), 1, "no retry");
        assert!(!finished.stderr.contains("hunter2"), "{}", finished.stderr);
    }
    insta::assert_snapshot!(reasons.join("\n"), @r"
    the endpoint responded with 500 Internal Server Error
    the endpoint responded with 500 Internal Server Error
    the endpoint responded with 500 Internal Server Error
    the endpoint responded with 500 Internal Server Error (unavailable)
    ");
}

#[test]
fn a_redirect_is_an_error_and_is_not_followed() {
    let elsewhere = FakeServer::ok();
    let server = FakeServer::new(Behaviour::redirect(&elsewhere));
    let finished = run(Telemetry::Server(&server));
    insta::assert_snapshot!(reason(&finished, &server.url(), true), @"the endpoint responded with 307 Temporary Redirect");
    assert_eq!((server.connections(), elsewhere.connections()), (1, 0));
}

#[test]
fn an_endless_response_is_not_read() {
    for status in ["200 OK", "500 Internal Server Error"] {
        let server = FakeServer::new(Behaviour::Flood { status });
        let finished = run(Telemetry::Server(&server));
        assert!(
            server.bytes_flooded() < 64 << 20,
            "read more than the kernel buffers: {}",
            server.bytes_flooded()
        );
        if status == "200 OK" {
            assert_eq!(finished.telemetry_warnings(), [""; 0], "the event has arrived");
        } else {
            insta::assert_snapshot!(reason(&finished, &server.url(), true), @"the endpoint responded with 500 Internal Server Error");
        }
    }
}

#[test]
fn a_response_that_is_not_http_causes_a_warning() {
    let server = FakeServer::new(Behaviour::Garbage);
    let finished = run(Telemetry::Server(&server));
    insta::assert_snapshot!(reason(&finished, &server.url(), true), @"invalid HTTP version parsed");
}

#[test]
fn a_response_with_status_200_is_accepted_whatever_its_body() {
    let server = FakeServer::new(Behaviour::respond("200 OK", "is this a telephone?"));
    assert_eq!(run(Telemetry::Server(&server)).telemetry_warnings(), [""; 0]);
}

#[test]
fn an_unusable_address_causes_one_warning_that_does_not_show_it() {
    let mut warnings = Vec::new();
    for address in
        ["http://does-not-exist.invalid/hunter2", "https://hunter2:hunter3@does-not-exist.invalid", "hunter2"]
    {
        let finished = run(Telemetry::Address(address));
        warnings.push(warning(&finished).to_owned());
        assert!(!finished.stderr.contains("hunter"), "{}", finished.stderr);
    }
    insta::assert_snapshot!(warnings.join("\n"), @r"
    anonymous telemetry was not sent: TELEPORT_ANONYMOUS_TELEMETRY_ADDRESS is neither an https URL nor an http URL of this machine; set it to https://HOST, or unset it
    anonymous telemetry was not sent: TELEPORT_ANONYMOUS_TELEMETRY_ADDRESS contains a user name or password, which would add a header to the request; remove it from the URL
    anonymous telemetry was not sent: TELEPORT_ANONYMOUS_TELEMETRY_ADDRESS is not a URL; set it to https://HOST, or unset it
    ");
}

#[test]
fn a_warning_does_not_show_the_query_of_the_address() {
    let finished = run(Telemetry::Address(&format!("http://{CLOSED_PORT}?key=hunter2")));
    insta::assert_snapshot!(warning(&finished), @"anonymous telemetry was not sent to http://127.0.0.1:1/prehog.v1alpha.TbotReportingService/SubmitTbotEvent?...: tcp connect error: Connection refused (os error 111)");
    assert!(!finished.stderr.contains("hunter2"), "{}", finished.stderr);
}

#[test]
fn the_proxy_of_the_environment_is_used_and_its_credentials_are_not_shown() {
    let address = "https://does-not-exist.invalid";
    let proxy = FakeServer::new(Behaviour::respond("403 Forbidden", ""));
    let run = |command: &[&str]| {
        let flags = [&FAILING_START[1..], &["--anonymous-telemetry-opt-in"]].concat();
        tbot(Telemetry::Address(address), &[command, &flags].concat())
            .with_proxy(&proxy, "robot:hunter2")
            .run()
    };
    let preview = run(&["telemetry", "preview"]);
    let redacted = proxy.url().replace("://", "://...@");
    assert!(preview.stdout.contains(&redacted), "{}", preview.stdout);
    assert_eq!(proxy.connections(), 0);

    let finished = run(&["start"]);
    assert!(
        warning(&finished).contains(&format!(" through the HTTP proxy {redacted} (HTTPS_PROXY): ")),
        "{finished:?}"
    );
    let received = proxy.requests().remove(0);
    assert_eq!(received.request_line, "CONNECT does-not-exist.invalid:443 HTTP/1.1");
    let authorization = "Proxy-Authorization: Basic cm9ib3Q6aHVudGVyMg==";
    assert!(received.headers.iter().any(|header| header.eq_ignore_ascii_case(authorization)), "{received:?}");
    assert_eq!(proxy.connections(), 1);
    for output in [preview.stdout, finished.stderr] {
        assert!(!output.contains("hunter2") && !output.contains("cm9ib3Q6aHVudGVyMg"), "{output}");
    }
}

#[test]
fn the_json_log_has_the_same_events() {
    let server = FakeServer::new(Behaviour::respond("503 Service Unavailable", ""));
    let flags = ["--anonymous-telemetry-opt-in", "--log-format", "json"];
    let finished = tbot(Telemetry::Server(&server), &[&FAILING_START[..], &flags].concat()).run();
    let lines = finished.stderr.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let events: Vec<_> = lines.filter(|line| line.to_string().contains("telemetry")).collect();
    let levels: Vec<_> = events.iter().map(|line| line["level"].as_str().unwrap()).collect();
    assert_eq!(levels, ["info", "warning"], "{}", finished.stderr);
}
