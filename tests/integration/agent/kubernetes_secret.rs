//! Outputs and storage in Kubernetes Secrets, against an API server on loopback.

use serde_json::{Value, json};
use tbot::agent::{Agent, AgentError};
use tbot_cluster::method;

use super::kube_api::KubeApi;
use super::lab::{BOT, Lab};

struct Scene {
    lab: Lab,
    api: KubeApi,
}

impl Scene {
    async fn new() -> Self {
        let scene = Self { lab: Lab::new().await, api: KubeApi::start() };
        std::fs::write(scene.lab.path("kubeconfig"), scene.api.kubeconfig().to_string()).unwrap();
        scene
    }

    fn secret(&self, name: &str) -> Value {
        json!({ "type": "kubernetes_secret", "name": name, "kubeconfig_path": self.lab.path("kubeconfig") })
    }

    fn agent(&self, config: Value) -> Result<Agent, AgentError> {
        self.lab.agent_with(config, &[("POD_NAMESPACE", "apps")])
    }

    async fn run(&self, config: Value) -> Result<(), AgentError> {
        let (_control, signals) = tbot::agent::control();
        self.agent(config)?.run_once(signals).await
    }

    /// One output to a Secret, and the storage in a folder.
    fn output(&self) -> Value {
        let mut destination = self.secret("out");
        destination["labels"] = json!({ "team": "a" });
        self.lab.config("20m", &[json!({ "type": "identity", "destination": destination })])
    }

    /// No output, and the storage in a Secret.
    fn storage(&self) -> Value {
        let mut config = self.lab.config("20m", &[]);
        config["storage"] = self.secret("bot");
        config
    }

    fn stored(&self) -> std::collections::BTreeMap<String, String> {
        self.api.secret("apps", "bot").unwrap()
    }
}

// On one thread, as the program runs.
#[tokio::test]
async fn an_output_is_applied_as_one_set_after_a_dry_run() {
    let scene = Scene::new().await;
    scene.run(scene.output()).await.unwrap();
    let files = scene.api.secret("apps", "out").unwrap();
    assert!(files["identity"].starts_with(&files["key"]));
    assert!(files.contains_key("known_hosts") && !files.contains_key("ssh_config"));
    let object = scene.api.object("apps", "out");
    assert_eq!((&object["type"], &object["metadata"]["labels"]), (&json!("Opaque"), &json!({ "team": "a" })));
    let targets: Vec<String> = scene.api.asked().iter().map(|asked| asked.target.clone()).collect();
    let path = "/api/v1/namespaces/apps/secrets/out?fieldManager=tbot&force=true";
    assert_eq!(targets, [format!("{path}&dryRun=All"), path.to_owned()]);

    scene.run(scene.output()).await.unwrap();
    assert_ne!(scene.api.secret("apps", "out").unwrap()["key"], files["key"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_context_can_be_chosen_and_present_a_certificate() {
    let scene = Scene::new().await;
    let mut config = scene.output();
    config["outputs"][0]["destination"]["kubeconfig_context"] = json!("by-certificate");
    config["outputs"][0]["destination"]["namespace"] = json!("other");
    scene.run(config).await.unwrap();
    assert!(scene.api.secret("other", "out").is_some());
    assert!(scene.api.asked().iter().all(|asked| asked.as_whom == "certificate"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_names_what_to_check_and_the_old_set_stays() {
    let scene = Scene::new().await;
    scene.run(scene.output()).await.unwrap();
    let whole = scene.api.secret("apps", "out");
    scene.api.refuse_next("PATCH", 403, "secrets \"out\" is forbidden");
    let refused = scene.run(scene.output()).await.unwrap_err().to_string();
    assert!(refused.contains("the Secret apps/out") && refused.contains("is forbidden"), "{refused}");
    assert!(refused.contains("get, create and patch"), "{refused}");
    assert_eq!(scene.api.secret("apps", "out"), whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_namespace_or_a_cluster_nothing_is_joined() {
    let scene = Scene::new().await;
    let refused = scene.lab.run_once(scene.output()).await.unwrap_err().to_string();
    assert!(refused.contains("POD_NAMESPACE"), "{refused}");
    let mut config = scene.output();
    config["outputs"][0]["destination"].as_object_mut().unwrap().remove("kubeconfig_path");
    let refused = scene.run(config).await.unwrap_err().to_string();
    assert!(refused.contains("kubeconfig_path or KUBECONFIG"), "{refused}");
    assert!(scene.lab.cluster.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_the_kubeconfigs_gets_no_token() {
    let scene = Scene::new().await;
    let mut kubeconfig = scene.api.kubeconfig();
    let other = KubeApi::start();
    kubeconfig["clusters"][0]["cluster"]["server"] = json!(format!("https://{}", other.address));
    std::fs::write(scene.lab.path("kubeconfig"), kubeconfig.to_string()).unwrap();
    let refused = scene.run(scene.output()).await.unwrap_err().to_string();
    assert!(refused.to_lowercase().contains("certificate"), "{refused}");
    assert!(other.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_in_a_secret_is_joined_once_and_renewed_from_then_on() {
    let scene = Scene::new().await;
    for generation in [1, 2, 3] {
        scene.run(scene.storage()).await.unwrap();
        assert_eq!(scene.lab.cluster.generation(BOT), Some(generation));
    }
    assert_eq!(scene.lab.calls(method::JOIN), 1);
    let names: Vec<String> = scene.stored().into_keys().collect();
    let expected = ["key", "key-cert.pub", "key.pub", "sshcacerts", "tlscacerts", "tlscert", "tokenhash"];
    assert_eq!(names, expected, "what the Go agent wants, and no note");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_noted_in_the_secret_and_never_asked_for_again() {
    let scene = Scene::new().await;
    scene.run(scene.storage()).await.unwrap();
    scene.lab.cluster.drop_reply(method::GENERATE_USER_CERTS);
    let lost = scene.run(scene.storage()).await.unwrap_err().to_string();
    assert!(lost.contains("the entry renewal-pending of the Secret apps/bot"), "{lost}");
    assert!(scene.stored().contains_key("renewal-pending"));
    scene.run(scene.storage()).await.unwrap();
    assert_eq!(scene.lab.calls(method::GENERATE_USER_CERTS), 1);
    assert!(!scene.lab.cluster.is_locked(BOT));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_agents_on_one_secret_only_one_asks_for_a_renewal() {
    let scene = Scene::new().await;
    scene.run(scene.storage()).await.unwrap();
    // Both have read the Secret; then the other one notes its renewal first.
    let mut hold = scene.lab.cluster.hold_next(method::PING);
    let agent = scene.agent(scene.storage()).unwrap();
    let (_control, signals) = tbot::agent::control();
    let run = agent.run_once(signals);
    tokio::pin!(run);
    tokio::select! {
        ended = &mut run => panic!("ended while it was held: {ended:?}"),
        () = hold.arrived() => {}
    }
    scene.api.touch("apps", "bot");
    hold.release();
    let refused = run.await.unwrap_err().to_string();
    assert!(refused.contains("is another tbot running"), "{refused}");
    assert_eq!(scene.lab.calls(method::GENERATE_USER_CERTS), 0);
    assert_eq!(scene.lab.cluster.generation(BOT), Some(1));
    scene.run(scene.storage()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_the_secret_does_not_take_is_kept_until_it_does() {
    let scene = Scene::new().await;
    scene.run(scene.storage()).await.unwrap();
    let mut hold = scene.lab.cluster.hold_next(method::GENERATE_USER_CERTS);
    let mut config = scene.storage();
    config["renewal_interval"] = json!("30m");
    let agent = scene.agent(config).unwrap();
    let (control, signals) = tbot::agent::control();
    let running = tokio::spawn(async move { agent.run(signals).await });
    hold.arrived().await;
    let before = scene.stored()["tlscert"].clone();
    scene.api.refuse_next("PATCH", 503, "etcd is away");
    hold.release();
    super::lab::until("the answer is saved", || scene.stored()["tlscert"] != before).await;
    control.shutdown();
    running.await.unwrap().unwrap();
    assert_eq!(scene.lab.calls(method::GENERATE_USER_CERTS), 1, "nothing was asked for again");
    assert!(!scene.stored().contains_key("renewal-pending"));
}
