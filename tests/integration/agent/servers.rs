//! Every version of Teleport that the agent supports, and the next one: joining, renewing and every output. The development
//! cluster refuses the calls that a version does not offer.

use serde_json::json;
use tbot::agent::{ApiError, GrpcCode, RenewalError};
use tbot_cluster::{Code, method};

use super::errors::renewal_error;
use super::every_output;
use super::fixture::{BOT, HOUR, RunningAgent, TestCluster, read, wait_until};
use super::joining::azure::AzureVm;
use super::joining::{DelegatedJoin, iam};

/// 18.2 does not offer join v1, and 20 does not offer the legacy join.
const VERSIONS: [&str; 7] = ["15.0.0-dev", "16.4.0", "17.7.0", "18.2.5", "18.7.0", "19.0.0", "20.0.0"];

/// The ways to join that do not respond to a challenge.
const JOINS: [&str; 3] = [method::JOIN, method::REGISTER_USING_TOKEN, method::JOIN_V1];

/// Returns how often the agent joined in each of these ways, including refusals.
fn joins(fixture: &TestCluster, methods: &[&'static str]) -> Vec<(&'static str, usize)> {
    let counts = methods.iter().map(|method| (*method, fixture.call_count(method)));
    counts.filter(|(_, count)| *count > 0).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_with_a_token_joins_renews_and_writes_every_output() {
    for version in VERSIONS {
        let fixture = TestCluster::with_version(version).await;
        every_output::add_resources(&fixture);
        let mut outputs = every_output::outputs(&fixture);
        let is_newer = !version.starts_with("15.") && !version.starts_with("16.");
        if is_newer {
            outputs.extend(every_output::newer_outputs(&fixture));
        }
        let running = fixture.start(fixture.config("20m", &outputs));
        wait_until("the outputs are written", || every_output::are_written(&fixture)).await;
        if is_newer {
            let written = || every_output::newer_outputs_are_written(&fixture);
            wait_until("the newer outputs are written", written).await;
        }
        assert!(read(&fixture.path("identity").join("known_hosts")).contains("leaf.test"), "{version}");
        fixture.clock.advance(HOUR / 2);
        wait_until("the identity is renewed", || fixture.stored_generation() == 2).await;
        running.stop().await.unwrap();

        let expected = if version == "20.0.0" { method::JOIN_V1 } else { method::JOIN };
        assert_eq!(joins(&fixture, &JOINS), [(expected, 1)], "{version}");
        let instances = if is_newer { vec![2] } else { vec![] };
        assert_eq!(fixture.cluster.instances(BOT), instances, "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_with_an_id_token_joins_again_as_the_same_instance() {
    for version in VERSIONS {
        let join = DelegatedJoin::with_version(version, "dev.test").await;
        let config = join.config("gitlab", json!({}));
        for _ in 0..2 {
            join.run(config.clone(), &[("TBOT_GITLAB_JWT", &join.id_token())]).await.unwrap();
        }
        let (expected, instances) = match version {
            "15.0.0-dev" | "16.4.0" => (vec![(method::JOIN, 2)], vec![]),
            "17.7.0" => (vec![(method::JOIN, 1), (method::REGISTER_USING_TOKEN, 1)], vec![2]),
            // Join v1 is tried in each of two processes.
            "18.2.5" => {
                let older = [(method::JOIN, 1), (method::REGISTER_USING_TOKEN, 1)];
                (older.into_iter().chain([(method::JOIN_V1, 2)]).collect(), vec![2])
            }
            _ => (vec![(method::JOIN_V1, 2)], vec![2]),
        };
        assert_eq!(joins(&join.fixture, &JOINS), expected, "{version}");
        assert_eq!(join.fixture.cluster.instances(BOT), instances, "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_becomes_a_new_instance_only_if_the_server_denies_its_identity() {
    let join = DelegatedJoin::with_version("18.7.0", "dev.test").await;
    let cluster = &join.fixture.cluster;
    let config = join.config("gitlab", json!({}));
    let run = || async { join.run(config.clone(), &[("TBOT_GITLAB_JWT", &join.id_token())]).await };
    run().await.unwrap();
    cluster.fail_next(method::PING, Code::ResourceExhausted, "rate limit exceeded");
    let error = renewal_error(run().await.unwrap_err());
    let RenewalError::Api(ApiError::Refused { code, .. }) = error else { panic!("{error:?}") };
    assert_eq!(code, GrpcCode::ResourceExhausted);
    run().await.unwrap();
    assert_eq!(cluster.instances(BOT), [2]);

    cluster.fail_next(method::PING, Code::PermissionDenied, "access denied");
    run().await.unwrap();
    assert_eq!(cluster.instances(BOT).len(), 2);

    // As after `tctl bots rm`, with a token that names a new bot.
    cluster.fail_next(method::PING, Code::NotFound, "access denied: user \"bot-old\" not found");
    run().await.unwrap();
    assert_eq!(cluster.instances(BOT).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_with_aws_credentials_joins_again_as_the_same_instance() {
    for version in VERSIONS {
        let join = iam::cluster_of_version(version).await;
        for _ in 0..2 {
            join.run(join.config("iam", json!({})), &iam::VARIABLES).await.unwrap();
        }
        let methods = [method::REGISTER_USING_IAM, method::JOIN_V1];
        let (expected, instances) = match version {
            "15.0.0-dev" | "16.4.0" => (vec![(methods[0], 2)], vec![]),
            "17.7.0" => (vec![(methods[0], 2)], vec![2]),
            "18.2.5" => (methods.map(|method| (method, 2)).to_vec(), vec![2]),
            _ => (vec![(methods[1], 2)], vec![2]),
        };
        assert_eq!(joins(&join.fixture, &methods), expected, "{version}");
        assert_eq!(join.fixture.cluster.instances(BOT), instances, "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_azure_machine_joins_again_as_the_same_instance() {
    for version in VERSIONS {
        let vm = AzureVm::with_version(version).await;
        for _ in 0..2 {
            vm.run(json!({})).await.unwrap();
        }
        let (expected, instances) = match version {
            "15.0.0-dev" | "16.4.0" => (method::REGISTER_USING_AZURE, vec![]),
            "20.0.0" => (method::JOIN_V1, vec![2]),
            _ => (method::REGISTER_USING_AZURE, vec![2]),
        };
        let methods = [method::REGISTER_USING_AZURE, method::JOIN_V1];
        assert_eq!(joins(&vm.join.fixture, &methods), [(expected, 2)], "{version}");
        assert_eq!(vm.join.fixture.cluster.instances(BOT), instances, "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_renewals_are_one_instance_and_a_missing_call_is_remembered() {
    let join = DelegatedJoin::with_version("18.2.5", "dev.test").await;
    let jwt = join.fixture.path("jwt");
    std::fs::write(&jwt, join.id_token()).unwrap();
    let mut config = join.config("kubernetes", json!({ "kubernetes": { "token_path": jwt } }));
    config["outputs"] = json!([]);
    let running = RunningAgent::start(join.fixture.agent(config).unwrap());
    for renewals in 1..=101 {
        let has_joined = || join.fixture.cluster.instances(BOT) == [renewals];
        wait_until("the bot has joined again", has_joined).await;
        let certificate = join.fixture.storage().join("tlscert");
        let saved = std::fs::read(&certificate).ok();
        running.control.reload();
        wait_until("the identity is saved", || std::fs::read(&certificate).ok() != saved).await;
    }
    running.stop().await.unwrap();
    assert_eq!(join.fixture.call_count(method::JOIN_V1), 1);
    assert_eq!(join.fixture.call_count(method::JOIN), 1);
}
