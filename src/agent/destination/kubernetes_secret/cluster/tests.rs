use serde_json::json;

use super::*;

fn secret(settings: &serde_json::Value) -> config::KubernetesSecret {
    let mut secret = json!({ "name": "out" });
    secret.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    serde_json::from_value(secret).unwrap()
}

fn source(settings: &serde_json::Value, variables: &[(&str, &str)]) -> Result<Source, ClusterError> {
    Source::new(&secret(settings), &variables.iter().copied().collect())
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

fn choose(text: &str, context: Option<&str>) -> Result<Found, ClusterError> {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("config"), text).unwrap();
    std::fs::write(root.path().join("token"), "from a file\n").unwrap();
    Merged::read(&[root.path().join("config")])?.choose(context)
}

#[test]
fn configuration_goes_before_the_environment_and_that_before_the_pod() {
    let variables = [("KUBECONFIG", "/a::/b"), ("KUBERNETES_SERVICE_HOST", "10.0.0.1")];
    let files = |source| match source {
        Ok(Source::Kubeconfig { files, .. }) => files,
        other => panic!("{other:?}"),
    };
    assert_eq!(files(source(&json!({ "kubeconfig_path": "/mine" }), &variables)), [PathBuf::from("/mine")]);
    assert_eq!(files(source(&json!({}), &variables)), ["/a", "/b"].map(PathBuf::from));
    let pod = source(&json!({}), &variables[1..]).unwrap();
    assert!(matches!(pod, Source::Pod { host, port, .. } if host == "10.0.0.1" && port == "443"));
    assert!(matches!(source(&json!({}), &[]), Err(ClusterError::None)));
}

#[test]
fn a_token_may_stand_in_a_file_of_its_own() {
    let chosen = choose(&kubeconfig(&json!({ "tokenFile": "token" })), None).unwrap();
    assert_eq!(chosen.login.token.as_deref(), Some("from a file\n"));
    assert_eq!(chosen.server, "https://127.0.0.1:6443/prefix/");
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    for (key, value) in [
        ("exec", json!({ "command": "aws" })),
        ("auth-provider", json!({ "name": "gcp" })),
        ("username", json!("admin")),
        ("as", json!("somebody")),
    ] {
        let refused = choose(&kubeconfig(&json!({ key: value })), None).err().unwrap().to_string();
        assert!(refused.contains(&format!("user u: {key} is not supported")), "{refused}");
    }
}

#[test]
fn a_context_that_is_not_there_is_named_and_secrets_are_not() {
    let refused = choose(&kubeconfig(&json!({ "token": "hunter2" })), Some("other")).err().unwrap();
    assert!(refused.to_string().contains("it has no context other"), "{refused}");
    for broken in ["token: hunter2: [", "clusters: hunter2"] {
        let refused = choose(broken, None).err().unwrap();
        assert!(!format!("{refused} {refused:?}").contains("hunter2"), "{refused:?}");
    }
}

#[test]
fn credentials_never_leave_the_machine_in_the_clear() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("config");
    let text = kubeconfig(&json!({ "token": "t" })).replace("https://127.0.0.1:6443", "http://10.1.2.3");
    std::fs::write(&path, text).unwrap();
    let source = Source::Kubeconfig { files: vec![path], context: None };
    let environment = [("SSL_CERT_FILE", "/nonexistent")].into_iter().collect();
    let refused = Cluster::read(&source, &environment, &Clock::system()).err().unwrap().to_string();
    assert!(refused.contains("https only"), "{refused}");
}

#[test]
fn a_pod_presents_the_token_of_the_moment() {
    let root = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let authority = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    std::fs::write(root.path().join("ca.crt"), authority.pem()).unwrap();
    let source =
        Source::Pod { host: "::1".to_owned(), port: "443".to_owned(), folder: root.path().to_owned() };
    for token in ["first", "second"] {
        std::fs::write(root.path().join("token"), format!("{token}\n")).unwrap();
        let cluster = Cluster::read(&source, &Environment::default(), &Clock::system()).unwrap();
        assert_eq!(cluster.server, "https://[::1]:443");
        assert_eq!(cluster.token.unwrap().header(), format!("Bearer {token}"));
    }
    std::fs::remove_file(root.path().join("token")).unwrap();
    let refused = Cluster::read(&source, &Environment::default(), &Clock::system()).err().unwrap();
    assert!(refused.to_string().contains("token"), "{refused}");
}
