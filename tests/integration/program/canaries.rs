//! Canaries: each string of the configuration and each variable of the environment contains one. None appears in the
//! request or in what the log says about telemetry, except parts of the four variables with which the operator says how to send it. No
//! secret appears in any line of the log.

use serde_json::{Value, json};
use tbot::config::JoinMethod;

use super::fake_server::{Behaviour, FakeServer};
use super::fixture::{CLOSED_PORT, Run, Telemetry, tbot};

/// Part of every value that identifies something.
const CANARY: &str = "hunter2";
/// Part of every secret.
const SECRET: &str = "c0ffee5ec4e7";

/// The join methods, and the variables with secrets that they read.
const METHODS: [(&str, &[&str]); 15] = [
    ("token", &[]),
    ("azure", &[]),
    ("azure_devops", &["SYSTEM_ACCESSTOKEN"]),
    ("bitbucket", &["BITBUCKET_STEP_OIDC_TOKEN"]),
    ("bound_keypair", &["TBOT_REGISTRATION_SECRET", "TBOT_BOUND_KEYPAIR_STATIC_KEY"]),
    ("circleci", &["CIRCLE_OIDC_TOKEN"]),
    ("env0", &["ENV0_OIDC_TOKEN"]),
    ("gcp", &[]),
    ("github", &["ACTIONS_ID_TOKEN_REQUEST_TOKEN"]),
    ("gitlab", &["TBOT_GITLAB_JWT"]),
    ("iam", &["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]),
    ("kubernetes", &[]),
    ("spacelift", &["SPACELIFT_OIDC_TOKEN"]),
    ("terraform_cloud", &["TFC_WORKLOAD_IDENTITY_TOKEN"]),
    ("generic_oidc", &["OIDC_TOKEN"]),
];

/// Variables that identify a user, a machine or a job.
const IDENTIFYING: [&str; 15] = [
    "HOME",
    "USER",
    "LOGNAME",
    "HOSTNAME",
    "PWD",
    "TMPDIR",
    "LANG",
    "SSH_CONNECTION",
    "POD_NAMESPACE",
    "TELEPORT_NODE_NAME",
    "AWS_REGION",
    "AWS_ACCESS_KEY_ID",
    "GITHUB_REPOSITORY",
    "CI_PROJECT_PATH",
    "_TBOT_TELEMETRY_HELPER",
];

fn configuration(method: &str) -> Value {
    let name = |part: &str| format!("{CANARY}-{part}");
    // The token is a secret only for this method.
    let token = if method == "token" { format!("{SECRET}-{CANARY}") } else { name("token") };
    let path = |part: &str| json!({ "type": "directory", "path": format!("{CANARY}/{part}") });
    let mut onboarding = json!({ "join_method": method, "token": token });
    match method {
        "bound_keypair" => {
            onboarding["bound_keypair"] = json!({ "registration_secret": format!("{SECRET}-{CANARY}") });
        }
        "azure" => onboarding["azure"] = json!({ "client_id": name("client") }),
        "gitlab" => onboarding["gitlab"] = json!({ "token_env_var_name": "TBOT_GITLAB_JWT" }),
        "terraform_cloud" => onboarding["terraform"] = json!({ "audience_tag": "" }),
        "kubernetes" => onboarding["kubernetes"] = json!({ "token_path": name("path") }),
        "generic_oidc" => onboarding["generic_oidc"] = json!({ "env": "OIDC_TOKEN" }),
        _ => {}
    }
    json!({
        "version": "v2",
        "proxy_server": CLOSED_PORT,
        "onboarding": onboarding,
        "storage": path("storage"),
        "services": [
            { "type": "identity", "name": name("one"), "cluster": name("leaf"), "roles": [name("role")],
              "destination": path("identity") },
            { "type": "ssh_host", "principals": [name("host")], "destination": path("ssh") },
            { "type": "database", "service": name("service"), "username": name("user"), "database": name("database"),
              "destination": path("database") },
            { "type": "kubernetes", "kubernetes_cluster": name("kube"), "destination": path("kubernetes") },
            { "type": "application", "app_name": name("app"), "destination": path("application") },
        ],
        "anonymous_telemetry_opt_in": true,
    })
}

/// Prepares a start with a canary in each string of the configuration and in each variable.
fn start(telemetry: Telemetry<'_>, method: &str, secrets: &[&str]) -> Run {
    let arguments = ["start", "--oneshot", "--debug", "-c", "tbot.yaml"];
    let run = tbot(telemetry, &arguments).file("tbot.yaml", configuration(method).to_string());
    let run = IDENTIFYING.into_iter().fold(run, |run, name| run.env(name, format!("/{CANARY}/{name}")));
    secrets.iter().fold(run, |run, name| run.env(name, format!("{SECRET}-{CANARY}")))
}

#[test]
fn no_canary_is_in_a_request_or_in_what_the_log_says_about_telemetry() {
    let mut sent = 0;
    for (method, secrets) in METHODS {
        let server = FakeServer::ok();
        let finished = start(Telemetry::Server(&server), method, secrets).run();
        // It fails to connect, or does not support the join method.
        assert!(matches!(finished.status, Some(1 | 3)), "{method}: {}", finished.stderr);
        assert!(!finished.log_at("DEBUG").is_empty(), "{method}: the most verbose log");
        assert!(!finished.stderr.contains(SECRET), "{method}: {}", finished.stderr);
        assert!(!finished.stdout.contains(SECRET), "{method}: {}", finished.stdout);

        let lines = finished.telemetry_log();
        assert!(lines.iter().any(|line| line.contains("was sent")), "{method}: {}", finished.stderr);
        assert!(lines.iter().all(|line| !line.contains(CANARY)), "{method}: {lines:?}");
        for request in server.requests() {
            let text = format!("{}{}", request.head, request.body);
            assert!(!text.contains(CANARY) && !text.contains(SECRET), "{method}: {text}");
            assert!(text.contains("\"helper\":\"other\""), "{method}: {text}");
            sent += 1;
        }
    }
    assert_eq!(sent, METHODS.len());
}

#[test]
fn the_canaries_are_in_variables_of_every_join_method() {
    for method in JoinMethod::ALL.iter().filter(|method| method.supported().is_some()) {
        let row = METHODS.iter().find(|(name, _)| *name == method.as_str());
        let (_, secrets) =
            row.unwrap_or_else(|| panic!("add {method}, and its variables with secrets, to METHODS"));
        // `configuration` names this variable itself.
        let mut read: Vec<&str> = vec!["OIDC_TOKEN"];
        read.extend(method.variables().iter().flat_map(|variables| variables.names));
        assert!(secrets.iter().all(|name| read.contains(name)), "{method} does not read {secrets:?}");
    }
}

/// The operator chooses the address of the endpoint, so its path and query are sent. The log shows where the event went, without the query.
#[test]
fn the_path_of_the_endpoint_is_sent_and_logged_and_its_query_is_only_sent() {
    let server = FakeServer::ok();
    let address = format!("{}/{CANARY}-path?{CANARY}-query#{CANARY}-fragment", server.url());
    let finished = start(Telemetry::Address(&address), "token", &[]).run();
    let log = finished.telemetry_log().join("\n").replace(&format!("{CANARY}-path"), "");
    assert!(log.contains("was sent") && !log.contains(CANARY), "{log}");
    let request = server.requests().remove(0);
    let path = format!("/{CANARY}-path/prehog.v1alpha.TbotReportingService/SubmitTbotEvent");
    assert_eq!(request.request_line, format!("POST {path}?{CANARY}-query HTTP/1.1"));
    let rest = request.headers.join("\n") + &request.body;
    assert!(!rest.contains(CANARY), "{rest}");
}

/// A warning says what to correct: the HTTP proxy, without its user and password, or the file of root certificates.
#[test]
fn a_warning_about_a_submission_names_only_what_it_used() {
    let proxy = FakeServer::new(Behaviour::respond("403 Forbidden", ""));
    let address = format!("https://telemetry.invalid/{CANARY}-path?{CANARY}-query");
    let roots = format!("/{CANARY}-roots/ca.pem");
    let run = || {
        let user = format!("{CANARY}-user:{CANARY}-password");
        start(Telemetry::Address(&address), "token", &[]).with_proxy(&proxy, &user)
    };
    let without_canaries = |log: Vec<&str>, used: &[&str]| {
        let log = log.join("\n");
        assert!(used.iter().all(|used| log.contains(used)), "{log}");
        used.iter().fold(log, |log, used| log.replace(used, ""))
    };
    let path = format!("/{CANARY}-path/");

    let refused = run().run();
    assert_eq!(refused.telemetry_warnings().len(), 1, "{}", refused.stderr);
    let log = without_canaries(refused.telemetry_log(), &[&path, &proxy.address()]);
    assert!(!log.contains(CANARY), "{log}");
    let connect = proxy.requests().remove(0).head;
    assert!(!connect.contains(CANARY), "{connect}");

    let without_roots = run().env("SSL_CERT_FILE", &roots).run();
    assert_eq!(without_roots.telemetry_warnings().len(), 1, "{}", without_roots.stderr);
    let log = without_canaries(without_roots.telemetry_log(), &[&path, &roots]);
    assert!(!log.contains(CANARY), "{log}");
    for finished in [refused, without_roots] {
        assert!(!finished.stderr.contains(SECRET), "{}", finished.stderr);
    }
}
