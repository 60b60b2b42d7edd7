//! The certificates of a proxy: requests share them, and they are replaced in time.

use ::http::Request;
use http_body_util::BodyExt as _;
use serde_json::json;
use tbot_cluster::{Code, Resource, method};
use tracing::Level;

use super::super::fixture::{HOUR, MINUTE, TestCluster, poll_until, wait_until};
use super::super::health::{get_json, metric};
use super::super::log_capture::{LogCapture, LogEvent};
use super::http::{App, Client, streamed};
use super::{add_app, app_certificates, cluster_with_app, proxy, start, start_with};

const NAME: &str = "application-proxy-1";

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_replaced_after_the_interval_and_running_requests_continue() {
    let (fixture, _app) = cluster_with_app("web").await;
    let mut config = fixture.config("20m", &[proxy()]);
    config["services"] = json!([{
        "type": "application-proxy", "listen": "tcp://127.0.0.1:0",
        "credential_lifetime": { "credential_ttl": "30m", "renewal_interval": "10m" },
    }]);
    config.as_object_mut().unwrap().remove("outputs");
    config["diag_addr"] = json!("127.0.0.1:0");
    let (running, address) = start_with(&fixture, config).await;
    let health = running.agent.diag_addr().unwrap();
    let (sender, body) = streamed();
    let request = Request::post("http://web/echo").body(body).unwrap();
    let mut old = Client::connect(address).await.send(request).await.unwrap().into_body();
    let mut client = Client::connect(address).await;
    fixture.clock.advance(9 * MINUTE);
    assert_eq!(client.get("http://web/").await.status, 200);
    assert_eq!(app_certificates(&fixture), 1);
    for renewals in 2..5 {
        fixture.clock.advance(11 * MINUTE);
        poll_until("the roles are renewed", || async {
            metric(health, "tbot_renewals_total", NAME).await >= Some(renewals)
        })
        .await;
    }
    assert_eq!(app_certificates(&fixture), 1, "nothing needs another one yet");
    for _ in 0..3 {
        assert_eq!(client.get("http://web/").await.status, 200);
    }
    assert_eq!(app_certificates(&fixture), 2);
    // The certificate with which this request began has expired.
    sender.send("still here".into()).await.unwrap();
    assert_eq!(old.frame().await.unwrap().unwrap().into_data().unwrap(), "still here");
    assert_eq!(get_json(health, "/readyz").await.0, 200);
    drop((sender, old, client));
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_at_the_same_time_wait_for_one_certificate() {
    let (fixture, _app) = cluster_with_app("web").await;
    let (running, address) = start(&fixture).await;
    let mut held = fixture.cluster.hold_next(method::LIST_RESOURCES);
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..20 {
        requests.spawn(async move { Client::connect(address).await.get("http://web/").await.status });
    }
    held.arrived().await;
    held.release();
    assert_eq!(requests.join_all().await, [200; 20]);
    assert_eq!((app_certificates(&fixture), fixture.call_count(method::LIST_RESOURCES)), (1, 1));
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_vanishes_leaves_the_attempt_to_others() {
    let (fixture, _app) = cluster_with_app("web").await;
    let (running, address) = start(&fixture).await;
    let mut held = fixture.cluster.hold_next(method::LIST_RESOURCES);
    let vanishing = tokio::spawn(async move { Client::connect(address).await.get("http://web/").await });
    held.arrived().await;
    let other = tokio::spawn(async move { Client::connect(address).await.get("http://web/").await });
    vanishing.abort();
    assert_eq!(other.await.unwrap().status, 200);
    held.release();
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_failure_is_reported_to_the_clients_that_wait_and_the_next_request_is_another_attempt() {
    let log = LogCapture::start();
    let (fixture, _app) = cluster_with_app("web").await;
    let mut config = fixture.config("20m", &[proxy()]);
    config["diag_addr"] = json!("127.0.0.1:0");
    let (running, address) = start_with(&fixture, config).await;
    let health = running.agent.diag_addr().unwrap();
    let mut client = Client::connect(address).await;
    assert_eq!(client.get("http://later/").await.status, 404);
    fixture.cluster.fail_next(method::LIST_RESOURCES, Code::Unavailable, "a test");
    let response = client.get("http://web/").await;
    assert_eq!(response.status, 502);
    assert!(response.body.contains("web") && response.body.contains("a test"), "{}", response.body);
    assert_eq!(client.get("http://web/").await.status, 200);
    let _later = add_app(&fixture, "later").await;
    assert_eq!(client.get("http://later/").await.status, 200);
    // Names from clients and failures of one application do not change the health of the service.
    assert_eq!(get_json(health, "/readyz").await.0, 200);
    assert_eq!(metric(health, "tbot_connection_failures_total", NAME).await, Some(1));
    drop(client);
    running.stop().await.unwrap();
    let warnings = log.events(|event| event.level <= Level::WARN);
    assert!(warnings.len() == 1 && warnings[0].field("service") == Some(NAME), "{}", log.transcript());
    assert!(!log.text().contains("later"), "a name that only a client knows");
}

#[tokio::test]
async fn applications_stay_reachable_when_a_renewal_fails_and_all_are_after_an_outage() {
    let log = LogCapture::start();
    let (fixture, _app) = cluster_with_app("web").await;
    let (running, address) = start(&fixture).await;
    let mut client = Client::connect(address).await;
    assert_eq!(client.get("http://web/").await.status, 200);
    let renewals = fixture.call_count(method::GET_ROLE);
    fixture.cluster.fail_next(method::GET_ROLE, Code::Unavailable, "a test");
    fixture.clock.advance(20 * MINUTE);
    wait_until("the renewal has failed", || fixture.call_count(method::GET_ROLE) > renewals).await;
    assert_eq!(client.get("http://web/").await.status, 200);
    // An outage during this renewal would suspend it.
    wait_until("the bot is renewed", || log.count(LogEvent::is_new_identity) == 2).await;
    fixture.cluster.set_down(true);
    assert_eq!(client.get("http://web/").await.status, 502);
    fixture.clock.advance(HOUR / 2);
    fixture.cluster.set_down(false);
    poll_until("the application is reached", || async {
        Client::connect(address).await.get("http://web/").await.status == 200
    })
    .await;
    drop(client);
    running.stop().await.unwrap();
    assert_eq!(log.count(|event| event.level == Level::ERROR), 0, "{}", log.transcript());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_looks_up_applications_again() {
    let (fixture, _app) = cluster_with_app("web").await;
    let (running, address) = start(&fixture).await;
    let (sender, body) = streamed();
    let request = Request::post("http://web/echo").body(body).unwrap();
    let mut old = Client::connect(address).await.send(request).await.unwrap().into_body();
    let certificates = fixture.call_count(method::GENERATE_USER_CERTS);
    running.control.reload();
    // One for the identity, and one for the roles.
    wait_until("the roles are renewed", || {
        fixture.call_count(method::GENERATE_USER_CERTS) == certificates + 2
    })
    .await;
    poll_until("the application is looked up again", || async {
        assert_eq!(Client::connect(address).await.get("http://web/").await.status, 200);
        app_certificates(&fixture) == 2
    })
    .await;
    sender.send("still here".into()).await.unwrap();
    assert_eq!(old.frame().await.unwrap().unwrap().into_data().unwrap(), "still here");
    drop((sender, old));
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_roles_the_service_is_unhealthy_and_clients_get_the_reason() {
    let fixture = TestCluster::new().await;
    let web = App::start("web").await;
    fixture.cluster.add_resource(Resource::application("web", "web.127.0.0.1").served_by(web.address));
    let mut config = fixture.config("20m", &[proxy()]);
    config["diag_addr"] = json!("127.0.0.1:0");
    for _ in 0..2 {
        fixture.cluster.fail_next(method::GET_ROLE, Code::PermissionDenied, "a test");
    }
    let (running, address) = start_with(&fixture, config).await;
    let health = running.agent.diag_addr().unwrap();
    let path = format!("/readyz/{NAME}");
    poll_until("the service is unhealthy", || async {
        get_json(health, &path).await.1["status"] == "unhealthy"
    })
    .await;
    let response = Client::connect(address).await.get("http://web/").await;
    assert_eq!(response.status, 502);
    assert!(response.body.contains("a test"), "{}", response.body);
    // The request was another attempt, and so is the next one.
    assert_eq!(Client::connect(address).await.get("http://web/").await.status, 200);
    assert_eq!(get_json(health, &path).await.0, 200);
    running.stop().await.unwrap();
}
