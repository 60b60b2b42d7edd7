//! `tbot wait`: its exit status follows the health of a running agent, also of one that starts later.

use rustix::process::Signal;

use super::bot_fixture::BotFixture;
use super::fake_server::{Behaviour, FakeServer};
use super::fixture::{CLOSED_PORT, Finished, Running, Telemetry, tbot};
use crate::agent::fixture::wait_until;

fn wait(address: &str, flags: &[&str]) -> Finished {
    tbot(Telemetry::ClosedPort, &[&["wait", "--diag-addr", address], flags].concat()).run()
}

/// Starts an agent with a health server on a free port, and returns the address of that.
async fn start(fixture: &BotFixture) -> (Running, String) {
    let running = fixture.start(&["--diag-addr", "127.0.0.1:0"]).spawn();
    let address = || {
        let stderr = running.stderr();
        let (_, address) = stderr.lines().find(|line| line.contains("/readyz"))?.rsplit_once(' ')?;
        Some(address.to_owned())
    };
    wait_until("the agent listens", || address().is_some()).await;
    let address = address().unwrap();
    (running, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn wait_succeeds_as_soon_as_every_service_is_ready() {
    let fixture = BotFixture::new().await;
    let (running, address) = start(&fixture).await;
    for flags in [&[][..], &["--service", "identity"], &["--service=identity-1", "--timeout=20s"]] {
        let finished = tokio::task::block_in_place(|| wait(&address, flags));
        assert_eq!((finished.status, finished.stderr.as_str()), (Some(0), ""), "{flags:?}");
        assert_eq!(finished.stdout, "");
    }
    assert!(fixture.path("out").join("identity").exists());
    let url = format!("http://{address}");
    let finished = tokio::task::block_in_place(|| wait(&url, &["--service", "nobody"]));
    assert_eq!(finished.status, Some(1), "{}", finished.stderr);
    running.signal(Signal::TERM);
    tokio::task::block_in_place(|| running.wait());
}

#[tokio::test(flavor = "multi_thread")]
async fn wait_may_start_before_the_agent() {
    let fixture = BotFixture::new().await;
    // The port of an agent that has ended is free.
    let (running, address) = start(&fixture).await;
    running.signal(Signal::TERM);
    tokio::task::block_in_place(|| running.wait());
    let waiting = tbot(Telemetry::ClosedPort, &["wait", "--diag-addr", &address, "--timeout", "20s"]).spawn();
    let running = fixture.start(&["--diag-addr", &address]).spawn();
    let finished = tokio::task::block_in_place(|| waiting.wait());
    assert_eq!((finished.status, finished.stderr.as_str()), (Some(0), ""), "{}", running.stderr());
    running.signal(Signal::TERM);
    tokio::task::block_in_place(|| running.wait());
}

/// Without an identity, no service can begin.
#[tokio::test(flavor = "multi_thread")]
async fn wait_names_the_reason_why_an_agent_has_no_identity() {
    let fixture = BotFixture::new().await;
    fixture.cluster.set_down(true);
    let (running, address) = start(&fixture).await;
    for flags in [&["--timeout=6s"][..], &["--timeout=6s", "--service=identity-1"]] {
        let finished = tokio::task::block_in_place(|| wait(&address, flags));
        assert_eq!(finished.status, Some(1), "{}", finished.stderr);
        let proxy = fixture.cluster.proxy_addr().to_string();
        assert!(finished.stderr.contains(&proxy), "{}", finished.stderr);
    }
    running.signal(Signal::TERM);
    tokio::task::block_in_place(|| running.wait());
}

#[test]
fn wait_fails_after_its_timeout_and_names_the_last_reason() {
    let unhealthy =
        r#"{"status":"unhealthy","services":{"identity-1":{"status":"unhealthy","reason":"a reason"}}}"#;
    let unhealthy = FakeServer::new(Behaviour::respond("503 Service Unavailable", unhealthy));
    let proxy = FakeServer::new(Behaviour::respond("502 Bad Gateway", "<h1>oops</h1>"));
    let other = FakeServer::new(Behaviour::respond("200 OK", "<h1>hello</h1>"));
    let reasons = [CLOSED_PORT, &unhealthy.address(), &proxy.address(), &other.address()].map(|address| {
        let finished = wait(address, &["--timeout", "300ms"]);
        assert_eq!((finished.status, finished.stdout.as_str()), (Some(1), ""), "{}", finished.stderr);
        finished.stderr
    });
    insta::assert_snapshot!(reasons.concat());
    assert_eq!(unhealthy.requests()[0].request_line, "GET /wait HTTP/1.1");
}

#[test]
fn wrong_usage_exits_with_2() {
    for arguments in [
        &["wait"][..],
        &["wait", "--diag-addr", "https://127.0.0.1:1"],
        &["wait", "--diag-addr", "3001", "--timeout", "1s"],
        &["wait", "--diag-addr", CLOSED_PORT, "--timeout", "30"],
    ] {
        let finished = tbot(Telemetry::ClosedPort, arguments).run();
        assert_eq!(finished.status, Some(2), "{}", finished.stderr);
    }
}
