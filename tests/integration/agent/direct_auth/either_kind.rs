//! `auth_server` may be the address of either kind of server, on any port.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::{Value, json};
use tbot::agent::{RenewalError, error_line};
use tbot_cluster::{ClusterConfig, Code, MovableClock, clock, method};
use tracing::Level;

use super::super::errors::renewal_error;
use super::super::fixture::{TestCluster, wait_until};
use super::super::log_capture::LogCapture;
use super::{Relay, config, pins};

/// Returns an address of loopback with the usual port of a proxy, which no other process of these tests uses.
fn usual_proxy_address(last: u8) -> SocketAddr {
    let [_, second, third, fourth] = std::process::id().to_be_bytes();
    (Ipv4Addr::new(127, 100 + second % 100, third, fourth.max(1).wrapping_add(last).max(1)), 3080).into()
}

/// Returns a configuration with this value of `auth_server`, and pins.
fn config_at(fixture: &TestCluster, address: SocketAddr) -> Value {
    let mut config = config(fixture, &pins(fixture), &[]);
    config["auth_server"] = json!(address.to_string());
    config
}

#[tokio::test]
async fn a_proxy_on_another_port_is_found_and_noted_once() {
    let fixture = TestCluster::new().await;
    let log = LogCapture::start();
    let mut config = config_at(&fixture, fixture.cluster.proxy_addr());
    let running = fixture.start(config.clone());
    wait_until("the bot has joined", || fixture.storage().join("tlscert").exists()).await;
    running.control.reload();
    wait_until("the identity is renewed", || fixture.stored_generation() == 2).await;
    running.stop().await.unwrap();
    assert_eq!(fixture.call_count(method::JOIN), 1);
    let address = fixture.cluster.proxy_addr().to_string();
    let notes = |level| log.count(|event| event.level == level && event.field("address") == Some(&address));
    assert_eq!(notes(Level::INFO), 1);
    // The pins are not used.
    assert_eq!(log.count(|event| event.level == Level::WARN && event.message.contains("ca_pins")), 1);

    config["onboarding"].as_object_mut().unwrap().remove("ca_pins");
    fixture.run_oneshot(config).await.unwrap();
    assert_eq!(log.count(|event| event.level == Level::WARN && event.message.contains("ca_pins")), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_port_decides_which_kind_is_tried_first() {
    let clock = MovableClock::new(clock::system());
    let config = ClusterConfig {
        listen: usual_proxy_address(0),
        auth_listen: usual_proxy_address(1),
        ..ClusterConfig::new(clock.clock())
    };
    let fixture = TestCluster::with_config(config, clock).await;
    // With `insecure`, the auth server even responds to requests for the web API.
    for (address, expected) in [
        (fixture.cluster.proxy_addr(), [method::FIND, method::JOIN].as_slice()),
        (fixture.cluster.auth_addr(), &[method::FIND, method::GET_CLUSTER_CA_CERT]),
    ] {
        let first = fixture.cluster.requests().len();
        let mut config = config_at(&fixture, address);
        config["onboarding"].as_object_mut().unwrap().remove("ca_pins");
        config["insecure"] = json!(true);
        fixture.run_oneshot(config).await.unwrap();
        let calls: Vec<String> =
            fixture.cluster.requests()[first..].iter().map(|call| call.method.clone()).collect();
        assert_eq!(&calls[..expected.len()], expected, "{calls:?}");
    }
    // Without it, the auth server's certificate is not accepted as that of a proxy.
    fixture.run_oneshot(config_at(&fixture, fixture.cluster.auth_addr())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kind_of_server_is_detected_again_after_a_failure() {
    let fixture = TestCluster::new().await;
    let relay = Relay::start(fixture.cluster.auth_addr()).await;
    let mut config = config_at(&fixture, relay.address);
    config["insecure"] = json!(true);
    config["onboarding"].as_object_mut().unwrap().remove("ca_pins");
    let running = fixture.start(config);
    wait_until("the bot has joined", || fixture.storage().join("tlscert").exists()).await;
    relay.connect_to(fixture.cluster.proxy_addr());
    running.control.reload();
    wait_until("the identity is renewed", || fixture.stored_generation() == 2).await;
    running.stop().await.unwrap();
    assert_eq!(fixture.call_count(method::FIND), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_by_an_auth_server_is_final() {
    let fixture = TestCluster::new().await;
    fixture.cluster.fail_next(method::GET_CLUSTER_CA_CERT, Code::PermissionDenied, "access denied");
    let error = fixture.run_oneshot(config_at(&fixture, fixture.cluster.auth_addr())).await.unwrap_err();
    assert_eq!(fixture.call_count(method::FIND), 0);
    insta::assert_snapshot!(
        error_line(&error, error.hint().as_ref()).replace(&fixture.cluster.auth_addr().to_string(), "[auth]")
    );
    assert!(matches!(renewal_error(error), RenewalError::Discovery(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_error_tells_what_both_attempts_found() {
    let fixture = TestCluster::new().await;
    let other = TestCluster::new().await;
    std::fs::copy(other.path("web-ca.pem"), fixture.path("web-ca.pem")).unwrap();
    let error = fixture.run_oneshot(config_at(&fixture, fixture.cluster.proxy_addr())).await.unwrap_err();
    insta::assert_snapshot!(fixture.normalize(&error_line(&error, error.hint().as_ref())));
    assert!(matches!(renewal_error(error), RenewalError::Discovery(_)));
    assert!(fixture.cluster.requests().iter().all(|call| call.method != method::JOIN));
}
