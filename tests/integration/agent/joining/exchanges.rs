//! What GitHub, Google and Azure DevOps are asked, and every way in which they fail to answer.

use serde_json::json;
use tbot::agent::control;

use super::endpoint::{Answer, Endpoint};
use super::{AUDIENCE, Ci};

/// A service of the endpoint: join method, what names it to the agent, and what an answer looks like.
struct Service {
    join_method: &'static str,
    variables: fn(&Endpoint) -> Vec<(&'static str, String)>,
    answer: fn(&str) -> String,
}

const GITHUB: Service = Service {
    join_method: "github",
    variables: |endpoint| {
        vec![
            ("ACTIONS_ID_TOKEN_REQUEST_URL", endpoint.url("/request?api-version=2.0")),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "hunter2".to_owned()),
        ]
    },
    answer: |proof| json!({ "count": 1, "value": proof }).to_string(),
};

const GCP: Service = Service {
    join_method: "gcp",
    variables: |endpoint| vec![("GCE_METADATA_HOST", endpoint.address.to_string())],
    answer: str::to_owned,
};

const AZURE_DEVOPS: Service = Service {
    join_method: "azure_devops",
    variables: |endpoint| {
        vec![
            ("SYSTEM_OIDCREQUESTURI", endpoint.url("/plan/oidctoken")),
            ("SYSTEM_ACCESSTOKEN", "hunter2".to_owned()),
        ]
    },
    answer: |proof| json!({ "oidcToken": proof }).to_string(),
};

impl Service {
    /// Runs an agent against `endpoint`.
    async fn run(&self, ci: &Ci, endpoint: &Endpoint) -> Result<(), String> {
        let variables = (self.variables)(endpoint);
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        ci.run(ci.config(self.join_method, json!({})), &variables).await.map_err(|error| error.to_string())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn github_is_asked_for_a_token_for_the_cluster() {
    let ci = Ci::new(AUDIENCE).await;
    let proof = ci.proof();
    let endpoint = Endpoint::start(Answer::With(200, (GITHUB.answer)(&proof)));
    GITHUB.run(&ci, &endpoint).await.unwrap();
    assert_eq!(ci.presented(), [proof]);
    let [asked] = &endpoint.asked()[..] else { panic!("asked once") };
    assert_eq!(
        (asked.method.as_str(), asked.target.as_str()),
        ("GET", "/request?api-version=2.0&audience=teleport.cluster.local")
    );
    assert_eq!(asked.header("authorization"), "Bearer hunter2");
    assert_eq!(asked.header("accept"), "application/json; api-version=2.0");
    assert_eq!(asked.header("content-type"), "application/json");
}

#[tokio::test(flavor = "multi_thread")]
async fn google_s_metadata_server_is_asked_for_a_full_token() {
    let ci = Ci::new(AUDIENCE).await;
    let proof = ci.proof();
    let endpoint = Endpoint::start(Answer::With(200, (GCP.answer)(&proof)));
    GCP.run(&ci, &endpoint).await.unwrap();
    assert_eq!(ci.presented(), [proof]);
    let [asked] = &endpoint.asked()[..] else { panic!("asked once") };
    assert_eq!(
        (asked.method.as_str(), asked.target.as_str()),
        (
            "GET",
            "/computeMetadata/v1/instance/service-accounts/default/identity?audience=teleport.cluster.local&format=full&licenses=FALSE"
        )
    );
    assert_eq!((asked.header("metadata-flavor"), asked.header("authorization")), ("Google", ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn azure_devops_is_asked_by_post() {
    let ci = Ci::new("api://AzureADTokenExchange").await;
    let proof = ci.proof();
    let endpoint = Endpoint::start(Answer::With(200, (AZURE_DEVOPS.answer)(&proof)));
    AZURE_DEVOPS.run(&ci, &endpoint).await.unwrap();
    assert_eq!(ci.presented(), [proof]);
    let [asked] = &endpoint.asked()[..] else { panic!("asked once") };
    assert_eq!(
        (asked.method.as_str(), asked.target.as_str(), asked.body.as_str()),
        ("POST", "/plan/oidctoken?api-version=7.1", "")
    );
    assert_eq!((asked.header("authorization"), asked.header("content-length")), ("Bearer hunter2", "0"));
    assert_eq!(asked.header("content-type"), "application/json");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_that_is_missing_is_named_with_what_the_job_needs() {
    let ci = Ci::new(AUDIENCE).await;
    let nowhere = Endpoint::start(Answer::Never);
    for (service, needs) in [
        (GITHUB, "the job needs `permissions: id-token: write`"),
        (AZURE_DEVOPS, "the pipeline's step needs `env: SYSTEM_ACCESSTOKEN: $(System.AccessToken)`"),
    ] {
        let variables = (service.variables)(&nowhere);
        for (missing, _) in &variables {
            let there: Vec<_> = variables
                .iter()
                .filter(|(name, _)| name != missing)
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            let refused = ci.refused(ci.config(service.join_method, json!({})), &there).await;
            assert!(
                refused.contains(&format!("{missing} is not set in the environment: {needs}")),
                "{refused}"
            );
        }
    }
    assert!(nowhere.asked().is_empty() && ci.lab.cluster.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_no_proof_is_refused_by_host_and_repeats_nothing() {
    let ci = Ci::new(AUDIENCE).await;
    let body = |text: &str| text.to_owned();
    for (answer, says) in [
        ((401, body("hunter2")), "it answered 401 Unauthorized"),
        ((500, body("hunter2")), "it answered 500 Internal Server Error"),
        ((302, body("hunter2")), "it answered 302 Found"),
        ((200, body("")), "holds no identity token"),
        ((200, body("<html>hunter2</html>")), "holds no identity token"),
        ((200, body(r#"{"value": 7, "oidcToken": ["hunter2"]}"#)), "holds no identity token"),
        ((200, body(r#"{"value": "hunter2", "oidcToken": "hunter2"}"#)), "holds no identity token"),
        ((200, "x".repeat(5 << 20)), "the answer is larger than 4 MiB"),
    ] {
        for service in [GITHUB, GCP, AZURE_DEVOPS] {
            let endpoint = Endpoint::start(Answer::With(answer.0, answer.1.clone()));
            let refused = service.run(&ci, &endpoint).await.unwrap_err();
            assert!(refused.contains(says), "{}: {refused}", service.join_method);
            assert!(refused.contains(&endpoint.address.to_string()), "{refused}");
            assert!(!refused.contains("hunter2") && !refused.contains("/plan"), "{refused}");
            assert_eq!(endpoint.asked().len(), 1, "{}", service.join_method);
        }
    }
    assert!(ci.lab.cluster.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_sent_a_token_or_asked_for_one_in_clear_text() {
    let ci = Ci::new(AUDIENCE).await;
    for (join_method, variables, name) in [
        (
            "github",
            [
                ("ACTIONS_ID_TOKEN_REQUEST_URL", "http://ci.example/hunter2"),
                ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "hunter2"),
            ],
            "ACTIONS_ID_TOKEN_REQUEST_URL holds no address",
        ),
        (
            "azure_devops",
            [("SYSTEM_OIDCREQUESTURI", "hunter2"), ("SYSTEM_ACCESSTOKEN", "hunter2")],
            "SYSTEM_OIDCREQUESTURI holds no address",
        ),
        (
            "gcp",
            [("GCE_METADATA_HOST", "hunter2.example"), ("UNUSED", "")],
            "GCE_METADATA_HOST holds no address",
        ),
    ] {
        let refused = ci.refused(ci.config(join_method, json!({})), &variables).await;
        assert!(refused.contains(name) && !refused.contains("hunter2"), "{refused}");
    }
    assert!(ci.lab.cluster.requests().is_empty());
}

/// Time stands still but for those who wait, so that the patience with who never answers is over at once.
#[tokio::test(start_paused = true)]
async fn who_never_answers_is_not_waited_for_for_ever() {
    let ci = Ci::new(AUDIENCE).await;
    for service in [GITHUB, GCP, AZURE_DEVOPS] {
        let endpoint = Endpoint::start(Answer::Never);
        let began = tokio::time::Instant::now();
        let refused = service.run(&ci, &endpoint).await.unwrap_err();
        let waited = began.elapsed().as_secs();
        assert!((5..60).contains(&waited), "{waited}");
        assert!(refused.contains(&format!("no identity token from {}", endpoint.address)), "{refused}");
        assert!(refused.contains("timed out"), "{refused}");
    }
    assert!(ci.lab.cluster.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_agent_waits_for_the_end_of_an_outage_and_not_of_a_refusal() {
    let ci = Ci::new(AUDIENCE).await;
    let endpoint = Endpoint::start(Answer::With(503, String::new()));
    let variables = (GITHUB.variables)(&endpoint);
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let start = || {
        let agent = ci.lab.agent_with(ci.config("github", json!({})), &variables).unwrap();
        let (control, signals) = control();
        (control, tokio::spawn(async move { agent.run(signals).await }))
    };
    let (control, running) = start();
    super::until("a proof was asked for in vain", || !endpoint.asked().is_empty()).await;
    endpoint.now_answers(Answer::With(200, (GITHUB.answer)(&ci.proof())));
    super::until("an output is written", || ci.has_written()).await;
    control.shutdown();
    running.await.unwrap().unwrap();

    std::fs::remove_dir_all(ci.lab.storage()).unwrap();
    endpoint.now_answers(Answer::With(403, String::new()));
    let (_control, running) = start();
    let refused = running.await.unwrap().unwrap_err().to_string();
    assert!(refused.contains("it answered 403 Forbidden; the job needs `permissions"), "{refused}");
}

/// What the environment's HTTP proxy is asked is a tunnel: the bearer token is for who is at its end.
#[tokio::test(flavor = "multi_thread")]
async fn https_goes_through_the_environment_s_http_proxy() {
    let ci = Ci::new(AUDIENCE).await;
    let proxy = Endpoint::start(Answer::With(407, String::new()));
    let refused = ci
        .refused(
            ci.config("github", json!({})),
            &[
                ("HTTPS_PROXY", &proxy.url("")),
                ("ACTIONS_ID_TOKEN_REQUEST_URL", "https://ci.example.test/hunter2"),
                ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "hunter2"),
            ],
        )
        .await;
    assert!(refused.contains("no identity token from ci.example.test:443: "), "{refused}");
    assert!(!refused.contains("hunter2"), "{refused}");
    let [asked] = &proxy.asked()[..] else { panic!("asked once") };
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("CONNECT", "ci.example.test:443"));
    assert!(!format!("{asked:?}").contains("hunter2"), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_told_to_stop_does_not_wait_for_a_proof() {
    let ci = Ci::new(AUDIENCE).await;
    let endpoint = Endpoint::start(Answer::Never);
    let host = endpoint.address.to_string();
    let agent = ci.lab.agent_with(ci.config("gcp", json!({})), &[("GCE_METADATA_HOST", &host)]).unwrap();
    let (control, signals) = control();
    let running = tokio::spawn(async move { agent.run(signals).await });
    super::until("the metadata server is asked", || !endpoint.asked().is_empty()).await;
    control.shutdown();
    running.await.unwrap().unwrap();
}
