use serde_json::json;

use super::*;
use crate::agent::destination::kubernetes_secret::parameters::KubeconfigProblem;

fn cluster_config(
    settings: &serde_json::Value,
    variables: &[(&str, &str)],
) -> Result<ClusterConfig, KubernetesClusterError> {
    let mut secret = json!({ "name": "out" });
    secret.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    let secret = serde_json::from_value(secret).unwrap();
    ClusterConfig::new(&secret, &variables.iter().copied().collect())
}

fn kubeconfig(user: &serde_json::Value) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "main",
        "clusters": [{ "name": "c", "cluster": { "server": "https://127.0.0.1:6443/prefix/" } }],
        "users": [{ "name": "u", "user": user }],
        "contexts": [{ "name": "main", "context": { "cluster": "c", "user": "u" } }],
        "preferences": {},
    })
    .to_string()
}

fn parameters(
    kubeconfig: &str,
    context: Option<&str>,
) -> Result<ConnectionParameters, KubernetesClusterError> {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("config"), kubeconfig).unwrap();
    std::fs::write(root.path().join("token"), "from a file\n").unwrap();
    MergedKubeconfig::read(&[root.path().join("config")])?.parameters(context)
}

/// Returns why a kubeconfig is refused.
fn problem(result: Result<ConnectionParameters, KubernetesClusterError>) -> KubeconfigProblem {
    match result.err().unwrap() {
        KubernetesClusterError::Kubeconfig { problem, .. } => problem,
        error => panic!("{error:?}"),
    }
}

#[test]
fn configuration_precedes_the_environment_and_a_kubeconfig_precedes_the_pod() {
    let variables = [("KUBECONFIG", "/a::/b"), ("KUBERNETES_SERVICE_HOST", "10.0.0.1")];
    let files = |config| match config {
        Ok(ClusterConfig::Kubeconfig { files, .. }) => files,
        other => panic!("{other:?}"),
    };
    let configured = cluster_config(&json!({ "kubeconfig_path": "/mine" }), &variables);
    assert_eq!(files(configured), [PathBuf::from("/mine")]);
    assert_eq!(files(cluster_config(&json!({}), &variables)), ["/a", "/b"].map(PathBuf::from));
    let pod = cluster_config(&json!({}), &variables[1..]).unwrap();
    assert!(
        matches!(pod, ClusterConfig::InCluster { host, port, .. } if host == "10.0.0.1" && port == "443")
    );
    assert!(matches!(cluster_config(&json!({}), &[]), Err(KubernetesClusterError::NotConfigured)));
}

#[test]
fn a_token_is_read_from_a_file() {
    let parameters = parameters(&kubeconfig(&json!({ "tokenFile": "token" })), None).unwrap();
    assert_eq!(parameters.credentials.token.as_deref(), Some("from a file\n"));
    assert_eq!(parameters.server, "https://127.0.0.1:6443/prefix/");
}

#[test]
fn an_unsupported_login_is_refused_and_named() {
    for (key, value) in [
        ("exec", json!({ "command": "aws" })),
        ("auth-provider", json!({ "name": "gcp" })),
        ("username", json!("admin")),
        ("as", json!("somebody")),
    ] {
        let problem = problem(parameters(&kubeconfig(&json!({ key: value })), None));
        assert_eq!(problem, KubeconfigProblem::UnsupportedLogin { user: "u".to_owned(), key });
    }
}

#[test]
fn an_error_names_a_missing_context_but_no_secret() {
    let missing = parameters(&kubeconfig(&json!({ "token": "hunter2" })), Some("other"));
    let expected = KubeconfigProblem::Missing { entry_type: "context", name: "other".to_owned() };
    assert_eq!(problem(missing), expected);
    for malformed in ["token: hunter2: [", "clusters: hunter2"] {
        let error = parameters(malformed, None).err().unwrap();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}

#[test]
fn credentials_never_leave_the_machine_in_plain_text() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("config");
    let content = kubeconfig(&json!({ "token": "t" })).replace("https://127.0.0.1:6443", "http://10.1.2.3");
    std::fs::write(&path, content).unwrap();
    let config = ClusterConfig::Kubeconfig { files: vec![path], context: None };
    let environment = [("SSL_CERT_FILE", "/nonexistent")].into_iter().collect();
    let error = ClusterConnection::new(&config, &environment, &Clock::system()).err().unwrap();
    assert!(matches!(error, KubernetesClusterError::Plaintext(_)), "{error:?}");
}

#[test]
fn a_pod_presents_its_current_token() {
    let root = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let authority = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    std::fs::write(root.path().join("ca.crt"), authority.pem()).unwrap();
    let config = ClusterConfig::InCluster {
        host: "::1".to_owned(),
        port: "443".to_owned(),
        service_account: root.path().to_owned(),
    };
    let connect = || ClusterConnection::new(&config, &Environment::default(), &Clock::system());
    for token in ["first", "second"] {
        std::fs::write(root.path().join("token"), format!("{token}\n")).unwrap();
        let cluster = connect().unwrap();
        assert_eq!(cluster.server, "https://[::1]:443");
        assert_eq!(cluster.token.unwrap().header(), format!("Bearer {token}"));
    }
    let token = root.path().join("token");
    std::fs::remove_file(&token).unwrap();
    let error = connect().err().unwrap();
    assert!(matches!(&error, KubernetesClusterError::File { path, .. } if *path == token), "{error:?}");
}
