//! Refusals in the words that a user reads: what was asked of whom, what it answered, what to check.

use std::time::Duration;

use serde_json::json;
use tbot::agent::{Agent, AgentOptions, Clock, Randomness, control};
use tbot_cluster::{Code, MovableClock, Phase, Resource, clock, method};

use super::lab::{BOT, Lab};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// A bot that has joined.
async fn joined() -> Lab {
    let lab = Lab::new().await;
    lab.run_once(lab.config("20m", &[])).await.unwrap();
    lab
}

/// What a run of this configuration fails with.
async fn refused(lab: &Lab, config: serde_json::Value) -> String {
    lab.run_once(config).await.unwrap_err().to_string()
}

/// What a run fails with whose clock is `ahead` of the cluster's, or behind it.
async fn refused_at(lab: &Lab, ahead: Duration, behind: Duration, outputs: &[serde_json::Value]) -> String {
    let skewed = MovableClock::new(clock::system());
    skewed.advance(ahead);
    skewed.set_back(behind);
    let options = AgentOptions {
        environment: [("SSL_CERT_FILE", lab.path("web-ca.pem").to_str().unwrap())].into_iter().collect(),
        clock: Clock::from_fn(move || skewed.now()),
        randomness: Randomness::from_fn(|| 0.0),
        command: "/usr/local/bin/tbot".into(),
    };
    let config = serde_json::from_value(lab.config("20m", outputs)).unwrap();
    let (_control, signals) = control();
    Agent::new(&config, options).unwrap().run_once(signals).await.unwrap_err().to_string()
}

fn says(error: &str, parts: &[&str]) {
    for part in parts {
        assert!(error.contains(part), "no {part:?} in: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_or_removed_bot() {
    let lab = joined().await;
    lab.cluster.remove_bot(BOT);
    let error = refused(&lab, lab.config("20m", &[])).await;
    assert_eq!(
        error,
        "cannot renew the bot's identity: /proto.AuthService/Ping was refused by the auth server: access denied \
         (PermissionDenied); check whether the bot or its user is locked (tctl get locks) or was removed (tctl bots ls)"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_token() {
    let lab = joined().await;
    std::fs::remove_dir_all(lab.storage()).unwrap();
    let error = refused(&lab, lab.config("20m", &[])).await;
    says(
        &error,
        &[
            "no identity is stored, so the agent has to join: the cluster refused",
            "HTTP 403",
            "create a new one",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_the_bot_may_not_act_with() {
    let lab = joined().await;
    let mut output = lab.output("out");
    output["roles"] = json!(["editor"]);
    let error = refused(&lab, lab.config("20m", &[output])).await;
    says(
        &error,
        &[
            "output identity-1: /proto.AuthService/GenerateUserCerts was refused by the auth server",
            r#"user "bot-robot" has requested role impersonation for ["editor"]"#,
            "give it these (tctl bots update --add-roles), or take them out of the output's roles",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_that_no_role_allows() {
    let lab = joined().await;
    let words = r#"access denied to perform action "list" on "cert_authority""#;
    lab.cluster.fail_next(method::GET_CERT_AUTHORITIES, Code::PermissionDenied, words);
    let error = refused(&lab, lab.config("20m", &[lab.output("out")])).await;
    says(
        &error,
        &["GetCertAuthorities was refused by the auth server", words, "needs a rule that allows this"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_proxy() {
    let lab = joined().await;
    let mut config = lab.config("20m", &[]);
    // Nobody listens where somebody has just stopped.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    config["proxy_server"] = json!(free.to_string());
    let error = refused(&lab, config).await;
    says(
        &error,
        &[
            &format!("proxy_server: asked https://{free}/webapi/find, but"),
            "refused",
            "check that this is the web address",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_of_an_authority_that_nobody_trusts() {
    let lab = joined().await;
    let other = Lab::new().await;
    std::fs::copy(other.path("web-ca.pem"), lab.path("web-ca.pem")).unwrap();
    let error = refused(&lab, lab.config("20m", &[])).await;
    says(
        &error,
        &[
            "/webapi/find, but",
            "invalid peer certificate",
            "name that authority's certificate in SSL_CERT_FILE",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_of_the_host_authority_that_the_agent_has_missed() {
    let lab = joined().await;
    for phase in [Phase::Init, Phase::UpdateClients, Phase::UpdateServers, Phase::Standby] {
        lab.cluster.rotate("host", phase).unwrap();
    }
    let error = refused(&lab, lab.config("20m", &[])).await;
    says(
        &error,
        &[
            "cannot reach the auth server of dev.test through the proxy 127.0.0.1",
            "host CA was rotated",
            "new token",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_of_the_user_authority_that_the_agent_has_missed() {
    let lab = joined().await;
    for phase in [Phase::Init, Phase::UpdateClients, Phase::UpdateServers, Phase::Standby] {
        lab.cluster.rotate("user", phase).unwrap();
    }
    let error = refused(&lab, lab.config("20m", &[])).await;
    says(&error, &["auth server", "user CA was rotated while this agent was away", "new token"]);
    assert!(!lab.storage().join("renewal-pending").exists(), "nothing was asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_that_has_expired() {
    let lab = joined().await;
    lab.clock.advance(2 * HOUR);
    let error = refused(&lab, lab.config("20m", &[])).await;
    says(&error, &["the stored identity has expired", "so the agent has to join", "create a new one"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_late_or_early() {
    let lab = joined().await;
    let none = Duration::ZERO;
    // Before the proxy's certificate begins.
    let error = refused_at(&lab, none, HOUR, &[]).await;
    says(&error, &["/webapi/find, but", "not valid yet", "check the clock first"]);
    // The identity seems to be over, and a token works once.
    let error = refused_at(&lab, 2 * HOUR, none, &[]).await;
    says(&error, &["the stored identity has expired", "check this machine's clock"]);

    let words = "access denied: client credentials have expired, please relogin.";
    lab.cluster.fail_next(method::GENERATE_USER_CERTS, Code::PermissionDenied, words);
    let error = refused(&lab, lab.config("20m", &[])).await;
    says(&error, &[words, "check that this machine's clock is right"]);
    assert!(!lab.storage().join("renewal-pending").exists(), "the server has not counted this");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_without_an_end_is_not_listened_to_for_ever() {
    let lab = Lab::new().await;
    lab.cluster.add_resource(Resource::application("dumper", "dumper.127.0.0.1"));
    lab.cluster.never_end_lists();
    let mut service = lab.output("out");
    service["type"] = json!("application");
    service["app_name"] = json!("dumper");
    let refused = refused(&lab, lab.config("20m", &[service])).await;
    assert!(refused.contains("its list does not end after 1000 pages"), "{refused}");
    assert!(!lab.path("out").join("tlscert").exists());
}
