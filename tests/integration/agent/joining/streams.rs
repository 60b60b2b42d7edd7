//! Joining by answering a challenge: every way in which the exchange goes wrong, and that nothing that gives access is said.

use serde_json::json;
use tbot::agent::control;
use tbot_cluster::{Code, StreamFault, method};

use super::super::lab::listen;
use super::azure::Machine;
use super::iam::{VARIABLES, aws};
use super::{BOT, until};

const CANARIES: [&str; 3] = ["hunter2", "AKIDEXAMPLE", "session+token"];

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_ends_early_or_asks_for_nonsense_is_said_to() {
    let ci = aws().await;
    for (fault, says, is_answered) in [
        (
            StreamFault::EndAtOnce,
            "no answer from the proxy: it ended the exchange before its challenge",
            false,
        ),
        (StreamFault::EndAfterChallenge, "it ended the exchange before its certificates", true),
        (StreamFault::Challenge(String::new()), "is not understood: its challenge is empty", false),
        (StreamFault::Challenge("a\r\nHost: hunter2".to_owned()), "its challenge is not in base64", false),
        (StreamFault::Challenge("a".repeat(129)), "its challenge is longer than 128 bytes", false),
    ] {
        ci.lab.cluster.spoil_stream(method::REGISTER_USING_IAM, fault);
        let refused = ci.refused(ci.config("iam", json!({})), &VARIABLES).await;
        assert!(refused.starts_with("no identity is stored, so the agent has to join: "), "{refused}");
        assert!(refused.contains(says), "{refused}");
        assert!(CANARIES.iter().all(|canary| !refused.contains(canary)), "{refused}");
        let calls = ci.lab.cluster.requests();
        assert_eq!(!calls.last().unwrap().request.is_empty(), is_answered, "{says}");
    }
    assert!(!ci.has_written());
}

/// A challenge that is too large is not even read.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_too_large_is_not_read() {
    let ci = aws().await;
    let fault = StreamFault::Challenge("a".repeat(2 << 20));
    ci.lab.cluster.spoil_stream(method::REGISTER_USING_IAM, fault);
    let refused = ci.refused(ci.config("iam", json!({})), &VARIABLES).await;
    assert!(refused.contains("message length too large"), "{refused}");
    assert!(refused.len() < 600, "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_repeats_what_it_was_sent_is_not_repeated() {
    let ci = aws().await;
    let said = "session hunter2/AKIDEXAMPLE/session+token== of AKIDEXAMPLE with hunter2/secret+key";
    ci.lab.cluster.fail_next(method::REGISTER_USING_IAM, Code::PermissionDenied, said);
    let refused = ci.refused(ci.config("iam", json!({})), &VARIABLES).await;
    assert!(refused.contains("session ... of ... with ... (PermissionDenied); check"), "{refused}");

    let machine = Machine::new().await;
    let token = &machine.access_token;
    let said = format!("{token} is not for us: {}", token.split('.').nth(1).unwrap());
    let azure = method::REGISTER_USING_AZURE;
    machine.ci.lab.cluster.fail_next(azure, Code::PermissionDenied, &said);
    let refused = machine.run(json!({})).await.unwrap_err();
    assert!(refused.contains("join: ... is not for us: ... (PermissionDenied)"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_of_a_refusal_say_what_to_do() {
    let ci = aws().await;
    for (code, message, hint) in [
        (Code::Unimplemented, "unknown service", "use a tbot that is made for it"),
        (Code::PermissionDenied, "access denied", "check whether the bot or its user is locked"),
        (
            Code::PermissionDenied,
            "aws sts api returned status: \"403\"",
            "check its keys, and this machine's clock",
        ),
        (Code::PermissionDenied, "unknown STS host \"a\"", "set AWS_REGION"),
        (Code::NotFound, "no such token", "check (tctl get tokens)"),
        (Code::ResourceExhausted, "slow down", "slow down (ResourceExhausted)"),
    ] {
        ci.lab.cluster.fail_next(method::REGISTER_USING_IAM, code, message);
        let refused = ci.refused(ci.config("iam", json!({})), &VARIABLES).await;
        assert!(refused.contains(&format!("let this agent join: {message} ({code:?})")), "{refused}");
        assert!(refused.contains(hint), "{refused}");
    }
    assert_eq!(ci.lab.calls(method::REGISTER_USING_IAM), 6, "none is repeated by itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_goes_on_after_a_lost_answer_and_an_outage_and_joins_at_each_renewal() {
    let ci = aws().await;
    ci.lab.cluster.drop_reply(method::REGISTER_USING_IAM);
    ci.lab.cluster.fail_next(method::REGISTER_USING_IAM, Code::Unavailable, "auth is away");
    ci.lab.cluster.spoil_stream(method::REGISTER_USING_IAM, StreamFault::EndAfterChallenge);
    let mut config = ci.config("iam", json!({}));
    config["renewal_interval"] = json!("100ms");
    let agent = ci.lab.agent_with(config, &VARIABLES).unwrap();
    let (control, signals) = control();
    let running = tokio::spawn(async move { agent.run(signals).await });
    until("it has joined three times", || ci.lab.calls(method::REGISTER_USING_IAM) >= 6).await;
    control.shutdown();
    running.await.unwrap().unwrap();
    assert!(ci.has_written() && !ci.lab.cluster.is_locked(BOT));
}

/// Time stands still but for those who wait, so that the patience with who never answers is over at once.
#[tokio::test(start_paused = true)]
async fn a_cluster_that_never_answers_is_not_waited_for_for_ever() {
    let ci = aws().await;
    let _hold = ci.lab.cluster.hold_next(method::REGISTER_USING_IAM);
    let began = tokio::time::Instant::now();
    let refused = ci.refused(ci.config("iam", json!({})), &VARIABLES).await;
    let waited = began.elapsed().as_secs();
    assert!((20..60).contains(&waited), "{waited}");
    assert!(refused.contains("no answer from the proxy: the time for it is over"), "{refused}");
}

#[tokio::test]
async fn nothing_that_gives_access_is_logged() {
    let (log, _listening) = listen();
    let ci = aws().await;
    ci.run(ci.config("iam", json!({})), &VARIABLES).await.unwrap();
    ci.lab.cluster.fail_next(method::REGISTER_USING_IAM, Code::PermissionDenied, "hunter2/secret+key");
    ci.refused(ci.config("iam", json!({})), &VARIABLES).await;
    let machine = Machine::new().await;
    machine.run(json!({})).await.unwrap();

    let text = log.text();
    assert!(text.contains("INFO tbot::agent"), "the agent was heard");
    let parts = machine.access_token.split('.').skip(1);
    for secret in ["hunter2/secret+key", "session+token"].into_iter().chain(parts) {
        assert!(!text.contains(secret), "{secret}");
    }
}
