//! Endpoints that fail in every way: the run ends as it would without them, with one warning that holds no secret.

use super::receiver::{Behaviour, Receiver};
use super::run::{CLOSED, ENDS_AT_ONCE, Ended, Telemetry, tbot};

fn run(telemetry: Telemetry<'_>) -> Ended {
    tbot(telemetry, &[&ENDS_AT_ONCE[..], &["--anonymous-telemetry-opt-in"]].concat()).end()
}

/// The one warning of a run that failed at the proxy, as it always does, and not at telemetry.
fn warning(ended: &Ended) -> &str {
    assert_eq!(ended.status, Some(1), "{}", ended.stderr);
    match ended.telemetry_warnings().as_slice() {
        [one] => one,
        others => panic!("{others:?}\n{}", ended.stderr),
    }
}

/// The reason in the one warning.
fn reason<'a>(ended: &'a Ended, address: &str) -> &'a str {
    let warning = warning(ended);
    let path = "prehog.v1alpha.TbotReportingService/SubmitTbotEvent";
    let head = format!("anonymous telemetry was not sent to {address}/{path}: ");
    warning.strip_prefix(&head).unwrap_or_else(|| panic!("{warning}"))
}

#[test]
fn nobody_listens() {
    let ended = run(Telemetry::Nowhere);
    assert_eq!(reason(&ended, &format!("http://{CLOSED}")), "Connection refused (os error 111)");
}

#[test]
fn the_name_does_not_exist() {
    let address = "https://does-not-exist.invalid";
    let arguments = [&ENDS_AT_ONCE[..], &["--anonymous-telemetry-opt-in"]].concat();
    let ended = tbot(Telemetry::Address(address), &arguments).resolving().end();
    // A resolver may say so, or say nothing in time.
    assert!(!reason(&ended, address).is_empty());
}

#[test]
fn the_server_speaks_no_tls() {
    let receiver = Receiver::new(Behaviour::Plain);
    let ended = run(Telemetry::Address(&receiver.https_url()));
    let reason = reason(&ended, &receiver.https_url());
    assert!(reason.contains("InvalidContentType"), "{reason}");
    assert_eq!(receiver.connections(), 1, "one attempt");
}

#[test]
fn an_endpoint_that_never_answers_does_not_keep_the_program() {
    let receiver = Receiver::new(Behaviour::Silence);
    let ended = run(Telemetry::To(&receiver));
    assert_eq!(receiver.let_go(), 0, "the program ended while the endpoint still held the connection");
    assert_eq!(reason(&ended, &receiver.url()), "the program ended before there was an answer");
    assert_eq!((receiver.connections(), receiver.requests().len()), (1, 1));
}

#[test]
fn an_endpoint_that_answers_byte_by_byte_does_not_keep_the_program() {
    let receiver = Receiver::new(Behaviour::Drip);
    let ended = run(Telemetry::To(&receiver));
    assert_eq!(reason(&ended, &receiver.url()), "the program ended before there was an answer");
    assert_eq!(receiver.connections(), 1);
}

#[test]
fn an_error_is_named_by_its_status_and_its_code_alone() {
    for (body, said) in [
        ("", "the answer was 500 Internal Server Error"),
        ("<h1>hunter2</h1>", "the answer was 500 Internal Server Error"),
        (r#"{"code":"hunter2","message":"hunter2"}"#, "the answer was 500 Internal Server Error"),
        (
            r#"{"code":"unavailable","message":"hunter2"}"#,
            "the answer was 500 Internal Server Error (unavailable)",
        ),
    ] {
        let receiver = Receiver::new(Behaviour::answer("500 hunter2", body));
        let ended = run(Telemetry::To(&receiver));
        assert_eq!(reason(&ended, &receiver.url()), said);
        assert_eq!(receiver.connections(), 1, "no retry");
        assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
    }
}

#[test]
fn a_redirect_is_an_error_and_is_not_followed() {
    let elsewhere = Receiver::ok();
    let receiver = Receiver::new(Behaviour::redirect(&elsewhere));
    let ended = run(Telemetry::To(&receiver));
    assert_eq!(reason(&ended, &receiver.url()), "the answer was 307 Temporary Redirect");
    assert_eq!((receiver.connections(), elsewhere.connections()), (1, 0));
}

#[test]
fn an_endless_answer_is_not_read() {
    for status in ["200 OK", "500 Internal Server Error"] {
        let receiver = Receiver::new(Behaviour::Flood { status });
        let ended = run(Telemetry::To(&receiver));
        assert!(
            receiver.flooded() < 64 << 20,
            "what the kernel buffers, and no more: {}",
            receiver.flooded()
        );
        if status == "200 OK" {
            assert_eq!(ended.telemetry_warnings(), [""; 0], "it has arrived");
        } else {
            assert_eq!(reason(&ended, &receiver.url()), "the answer was 500 Internal Server Error");
        }
    }
}

#[test]
fn an_answer_that_is_no_http_is_an_error() {
    let receiver = Receiver::new(Behaviour::Garbage);
    let ended = run(Telemetry::To(&receiver));
    assert_eq!(reason(&ended, &receiver.url()), "invalid HTTP version parsed");
}

#[test]
fn an_answer_of_200_is_taken_whatever_is_in_it() {
    let receiver = Receiver::new(Behaviour::answer("200 OK", "is this a telephone?"));
    assert_eq!(run(Telemetry::To(&receiver)).telemetry_warnings(), [""; 0]);
}

#[test]
fn an_address_that_is_refused_is_one_warning_without_it() {
    for address in
        ["http://does-not-exist.invalid/hunter2", "https://hunter2:hunter3@does-not-exist.invalid", "hunter2"]
    {
        let ended = run(Telemetry::Address(address));
        let said = warning(&ended);
        assert!(
            said.starts_with("anonymous telemetry was not sent: TELEPORT_ANONYMOUS_TELEMETRY_ADDRESS "),
            "{said}"
        );
        assert!(!ended.stderr.contains("hunter"), "{}", ended.stderr);
    }
}

#[test]
fn no_secret_of_an_address_is_in_a_warning() {
    let ended = run(Telemetry::Address(&format!("http://{CLOSED}?key=hunter2")));
    assert!(warning(&ended).contains("SubmitTbotEvent?...: "), "{}", ended.stderr);
    assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
}

#[test]
fn the_environment_s_proxy_is_used_and_its_secrets_stay_with_it() {
    let address = "https://does-not-exist.invalid";
    let proxy = Receiver::new(Behaviour::answer("403 Forbidden", ""));
    let run = |command: &[&str]| {
        let flags = [&ENDS_AT_ONCE[1..], &["--anonymous-telemetry-opt-in"]].concat();
        tbot(Telemetry::Address(address), &[command, &flags].concat()).through(&proxy, "robot:hunter2").end()
    };
    let preview = run(&["telemetry", "preview"]);
    let shown = format!("it goes through the proxy {}\n", proxy.url().replace("://", "://...@"));
    assert!(preview.stdout.contains(&shown), "{}", preview.stdout);
    assert_eq!(proxy.connections(), 0);

    let ended = run(&["start"]);
    reason(&ended, address);
    let asked = proxy.requests().remove(0);
    assert_eq!(asked.line, "CONNECT does-not-exist.invalid:443 HTTP/1.1");
    let authorization = "Proxy-Authorization: Basic cm9ib3Q6aHVudGVyMg==";
    assert!(asked.headers.iter().any(|header| header.eq_ignore_ascii_case(authorization)), "{asked:?}");
    assert_eq!(proxy.connections(), 1);
    for said in [preview.stdout, ended.stderr] {
        assert!(!said.contains("hunter2") && !said.contains("cm9ib3Q6aHVudGVyMg"), "{said}");
    }
}

#[test]
fn a_log_in_json_says_the_same() {
    let receiver = Receiver::new(Behaviour::answer("503 Service Unavailable", ""));
    let flags = ["--anonymous-telemetry-opt-in", "--log-format", "json"];
    let ended = tbot(Telemetry::To(&receiver), &[&ENDS_AT_ONCE[..], &flags].concat()).end();
    let lines = ended.stderr.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let about: Vec<_> = lines.filter(|line| line.to_string().contains("telemetry")).collect();
    let levels: Vec<_> = about.iter().map(|line| line["level"].as_str().unwrap()).collect();
    assert_eq!(levels, ["INFO", "WARN"], "{}", ended.stderr);
}
