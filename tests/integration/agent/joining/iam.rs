//! The method `iam`: where keys and a region come from, and that what is signed with them is taken.

use std::time::SystemTime;

use serde_json::json;
use tbot_cluster::proto::RegisterUsingIamMethodRequest;
use tbot_cluster::{AwsUser, method};

use super::endpoint::{Answer, Asked, Endpoint};
use super::{AUDIENCE, BOT, Ci, GENERATION, HOUR, RENEWABLE, attribute, read};

const ID: (&str, &str) = ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE");
const SECRET: (&str, &str) = ("AWS_SECRET_ACCESS_KEY", "hunter2/secret+key");
const TOKEN: (&str, &str) = ("AWS_SESSION_TOKEN", "hunter2/AKIDEXAMPLE/session+token==");
const REGION: (&str, &str) = ("AWS_REGION", "eu-central-1");
const ROLE: (&str, &str) = ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/bot");
/// No test asks outside of this machine.
const NO_EC2: (&str, &str) = ("AWS_EC2_METADATA_DISABLED", "true");

/// Whom the token `ci` lets in.
pub(super) fn user(session_token: Option<&str>) -> AwsUser {
    AwsUser {
        access_key_id: ID.1.to_owned(),
        secret_access_key: SECRET.1.to_owned(),
        session_token: session_token.map(str::to_owned),
    }
}

/// Keys and a region in the environment, of the same user.
pub(super) const VARIABLES: [(&str, &str); 5] = [ID, SECRET, TOKEN, REGION, NO_EC2];

pub(super) async fn aws() -> Ci {
    let ci = Ci::new(AUDIENCE).await;
    ci.lab.cluster.add_aws_token(BOT, "ci", user(Some(TOKEN.1))).unwrap();
    ci
}

impl Ci {
    /// What the cluster was sent to be let in by.
    fn signed(&self) -> Vec<RegisterUsingIamMethodRequest> {
        let calls = self.lab.cluster.requests().into_iter();
        let calls = calls.filter(|call| call.method == method::REGISTER_USING_IAM);
        calls.map(|call| call.decode().unwrap()).collect()
    }
}

/// How ECS, EKS and EC2 say what the keys are.
fn keys_answer() -> String {
    json!({
        "Code": "Success", "Type": "AWS-HMAC", "Expiration": "2030-01-01T00:00:00Z",
        "AccessKeyId": ID.1, "SecretAccessKey": SECRET.1, "Token": TOKEN.1,
    })
    .to_string()
}

/// An instance's metadata service of version 2, with a role.
fn ec2(asked: &Asked) -> (u16, String) {
    let with = |status: u16, body: &str| (status, body.to_owned());
    match (asked.method.as_str(), asked.target.as_str()) {
        ("PUT", "/latest/api/token") if !asked.header("x-aws-ec2-metadata-token-ttl-seconds").is_empty() => {
            with(200, "canary-session")
        }
        ("GET", _) if asked.header("x-aws-ec2-metadata-token") != "canary-session" => with(401, ""),
        ("GET", "/latest/meta-data/iam/security-credentials/") => with(200, "the-role\n"),
        ("GET", "/latest/meta-data/iam/security-credentials/the-role") => (200, keys_answer()),
        ("GET", "/latest/meta-data/placement/region") => with(200, "us-east-1"),
        _ => with(404, ""),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_the_environment_sign_what_the_cluster_takes_again_and_again() {
    let ci = aws().await;
    let config = ci.config("iam", json!({}));
    let stored = |name: &str| ci.lab.storage().join(name);
    let mut keys = Vec::new();
    for _ in 0..2 {
        ci.run(config.clone(), &VARIABLES).await.unwrap();
        keys.push(read(&stored("key")));
        let tls = stored("tlscert");
        assert_eq!((attribute(&tls, RENEWABLE), attribute(&tls, GENERATION)), (None, None));
        assert!(!stored("renewal-pending").exists());
    }
    assert_ne!(keys[0], keys[1]);
    assert!(ci.has_written() && ci.joins().is_empty(), "nothing was posted");

    let [first, second] = &ci.signed()[..] else { panic!("joined twice") };
    assert_ne!(first.sts_identity_request, second.sts_identity_request, "each has its own challenge");
    let common = first.register_using_token_request.clone().unwrap();
    assert_eq!((common.role.as_str(), common.token.as_str()), ("Bot", "ci"));
    assert!(common.public_tls_key.starts_with(b"-----BEGIN PUBLIC KEY-----"));
    assert!(common.public_ssh_key.ends_with(b"\n") && common.id_token.is_empty());
    let expires = SystemTime::try_from(common.expires.unwrap()).unwrap();
    assert_eq!(expires.duration_since((ci.lab.clock.clock())()).unwrap().as_secs().div_ceil(60), 60);
    let wire = String::from_utf8(first.sts_identity_request.clone()).unwrap();
    assert!(wire.contains("\r\nhost: sts.eu-central-1.amazonaws.com\r\n"), "{wire}");
    assert!(!wire.contains(SECRET.1));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_without_a_session_token_are_those_of_a_user() {
    let ci = Ci::new(AUDIENCE).await;
    ci.lab.cluster.add_aws_token(BOT, "ci", user(None)).unwrap();
    let variables =
        [ID, SECRET, ("AWS_DEFAULT_REGION", "us-gov-west-1"), NO_EC2, ("AWS_CONFIG_FILE", "/nonexistent/a")];
    ci.run(ci.config("iam", json!({})), &variables).await.unwrap();
    assert!(ci.has_written());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_of_ec2_gives_the_keys_of_its_role_and_its_region() {
    let ci = aws().await;
    let endpoint = Endpoint::start(Answer::by(ec2));
    let url = endpoint.url("");
    let metadata = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", url.as_str());
    ci.run(ci.config("iam", json!({})), &[metadata]).await.unwrap();
    let asked =
        |from: usize| -> Vec<String> { endpoint.asked()[from..].iter().map(|a| a.target.clone()).collect() };
    assert_eq!(
        asked(0),
        [
            "/latest/api/token",
            "/latest/meta-data/iam/security-credentials/",
            "/latest/meta-data/iam/security-credentials/the-role",
            "/latest/meta-data/placement/region",
        ]
    );
    // Who has keys asks for the region only, and who has a region for the keys only.
    ci.run(ci.config("iam", json!({})), &[ID, SECRET, TOKEN, metadata]).await.unwrap();
    assert_eq!(asked(4), ["/latest/api/token", "/latest/meta-data/placement/region"]);
    ci.run(ci.config("iam", json!({})), &[REGION, metadata]).await.unwrap();
    assert_eq!(asked(6).len(), 3);
    let hosts = ci.signed().into_iter().map(|request| {
        let wire = String::from_utf8(request.sts_identity_request).unwrap();
        wire.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
    });
    let [east, central] = ["sts.us-east-1.amazonaws.com", "sts.eu-central-1.amazonaws.com"];
    assert_eq!(hosts.collect::<Vec<_>>(), [east, east, central]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_let_in_to_its_keys_by_a_token_of_its_own() {
    let ci = aws().await;
    let endpoint = Endpoint::start(Answer::With(200, keys_answer()));
    let (url, file) = (endpoint.url("/v1/credentials"), ci.lab.path("token"));
    std::fs::write(&file, "hunter2-file\n").unwrap();
    let full = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.as_str());
    let in_variable = ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "hunter2-variable");
    let in_file = ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file.to_str().unwrap());
    for variables in [
        &[full, REGION, NO_EC2][..],
        &[full, REGION, NO_EC2, in_variable],
        &[full, REGION, NO_EC2, in_variable, in_file],
    ] {
        ci.run(ci.config("iam", json!({})), variables).await.unwrap();
    }
    let sent: Vec<_> =
        endpoint.asked().iter().map(|asked| asked.header("authorization").to_owned()).collect();
    assert_eq!(sent, ["", "hunter2-variable", "hunter2-file"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_takes_on_its_role_with_its_own_token() {
    let ci = aws().await;
    let credentials = json!({ "AccessKeyId": ID.1, "SecretAccessKey": SECRET.1, "SessionToken": TOKEN.1, "Expiration": 1.9e9 });
    let answer = json!({ "AssumeRoleWithWebIdentityResponse":
        { "AssumeRoleWithWebIdentityResult": { "Credentials": credentials } } });
    let endpoint = Endpoint::start(Answer::With(200, answer.to_string()));
    let (url, file) = (endpoint.url("/"), ci.lab.path("jwt"));
    let variables = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", file.to_str().unwrap()),
        ("AWS_ENDPOINT_URL_STS", url.as_str()),
        ROLE,
        REGION,
        NO_EC2,
    ];
    std::fs::write(&file, "hunter2").unwrap();
    let refused = ci.refused(ci.config("iam", json!({})), &variables).await;
    assert!(refused.contains("holds no identity token") && !refused.contains("hunter2"), "{refused}");

    std::fs::write(&file, "hunter1.hunter2.hunter3\n").unwrap();
    ci.run(ci.config("iam", json!({})), &variables).await.unwrap();
    let [asked] = &endpoint.asked()[..] else { panic!("asked once") };
    assert_eq!((asked.method.as_str(), asked.header("accept")), ("POST", "application/json"));
    let sent: Vec<_> = url::form_urlencoded::parse(asked.body.as_bytes()).into_owned().collect();
    let sent: Vec<_> = sent.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        sent,
        [
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", "2011-06-15"),
            ("RoleArn", ROLE.1),
            ("RoleSessionName", "tbot"),
            ("WebIdentityToken", "hunter1.hunter2.hunter3"),
        ]
    );
    assert_eq!(ci.signed().len(), 1);

    endpoint.now_answers(Answer::With(403, "hunter2".to_owned()));
    let refused = ci.refused(ci.config("iam", json!({})), &variables).await;
    assert!(refused.contains("403 Forbidden; the role of AWS_ROLE_ARN has to trust"), "{refused}");
    assert!(!refused.contains("hunter2"), "{refused}");
    let variables = [&variables[..], &[("AWS_ENDPOINT_URL_STS", "http://a.example")]].concat();
    let refused = ci.refused(ci.config("iam", json!({})), &variables).await;
    assert!(refused.contains("AWS_ENDPOINT_URL_STS holds no address that can be asked"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_gives_keys_and_a_region() {
    let ci = aws().await;
    let home = ci.lab.path("home");
    std::fs::create_dir_all(home.join(".aws")).unwrap();
    std::fs::write(home.join(".aws/config"), "[profile bot]\nregion = us-west-2\n").unwrap();
    let keys = format!(
        "[bot]\naws_access_key_id = {}\naws_secret_access_key = {}\naws_session_token = {}\n",
        ID.1, SECRET.1, TOKEN.1
    );
    std::fs::write(home.join(".aws/credentials"), keys).unwrap();
    let home = ("HOME", home.to_str().unwrap());
    ci.run(ci.config("iam", json!({})), &[home, ("AWS_PROFILE", "bot"), NO_EC2]).await.unwrap();
    let refused = ci.refused(ci.config("iam", json!({})), &[home, NO_EC2]).await;
    assert!(refused.contains("no AWS credentials found: onboarding.join_method iam needs"), "{refused}");
    assert_eq!(ci.signed().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_said_before_the_cluster_is_asked() {
    let ci = aws().await;
    for (variables, says) in [
        (&[NO_EC2][..], "no AWS credentials found: onboarding.join_method iam needs AWS_ACCESS_KEY_ID and"),
        (&[ID, SECRET, NO_EC2], "no AWS region found: onboarding.join_method iam needs AWS_REGION"),
        (&[ID, REGION, NO_EC2], "AWS_SECRET_ACCESS_KEY is not set in the environment"),
        (&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://hunter2.example")], "ENDPOINT holds no address"),
        (&[("AWS_WEB_IDENTITY_TOKEN_FILE", "/a"), REGION, NO_EC2], "AWS_ROLE_ARN is not set"),
        (&[("AWS_WEB_IDENTITY_TOKEN_FILE", "/a"), ROLE, NO_EC2], "no AWS region found"),
        (
            &[("AWS_WEB_IDENTITY_TOKEN_FILE", "/nonexistent/a"), ROLE, REGION, NO_EC2],
            "cannot read the AWS credentials from /nonexistent/a",
        ),
        (&[("AWS_PROFILE", "a"), NO_EC2], "profile 'a' holds no AWS credentials: neither"),
        (
            &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://hunter2.example"), NO_EC2],
            "FULL_URI holds no address",
        ),
    ] {
        let refused = ci.refused(ci.config("iam", json!({})), variables).await;
        assert!(refused.starts_with("no identity is stored, so the agent has to join: "), "{refused}");
        assert!(refused.contains(says) && !refused.contains("hunter2"), "{refused}");
    }
    assert!(ci.lab.cluster.requests().is_empty());
}

/// At each step of asking an instance; what it answers is not repeated.
#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_does_not_answer_well_is_named_and_not_repeated() {
    let ci = aws().await;
    for (target, answers) in [
        (
            "/latest/api/token",
            &[(403, "hunter2", "403 Forbidden"), (200, "hun\u{7f}ter2", "cannot stand in a header")][..],
        ),
        (
            "/latest/meta-data/iam/security-credentials/",
            &[
                (404, "hunter2", "404 Not Found"),
                (200, "", "no AWS credentials found"),
                (302, "hunter2", "302 Found"),
            ],
        ),
        (
            "/latest/meta-data/iam/security-credentials/the-role",
            &[
                (500, "hunter2", "500 Internal"),
                (200, "<html>hunter2", "it is not JSON"),
                (200, r#"{"Code": "Failed", "Message": "hunter2"}"#, "not the JSON object that was expected"),
                (
                    200,
                    r#"{"AccessKeyId": "hunter2\r\n: a", "SecretAccessKey": "hunter2"}"#,
                    "holds no AWS credentials",
                ),
            ],
        ),
        (
            "/latest/meta-data/placement/region",
            &[(404, "hunter2", "404"), (200, "hunter2.example/", "holds no AWS region")],
        ),
    ] {
        for (status, body, says) in answers.iter().copied() {
            let endpoint = Endpoint::start(Answer::by(move |asked| {
                if asked.target == target { (status, body.to_owned()) } else { ec2(asked) }
            }));
            let url = endpoint.url("");
            let refused =
                ci.refused(ci.config("iam", json!({})), &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url)]).await;
            assert!(refused.contains(says), "{target} {status}: {refused}");
            assert!(!refused.contains("hunter2") && !refused.contains("canary"), "{refused}");
        }
    }
    assert!(ci.lab.cluster.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_the_cluster_does_not_take_is_refused_with_what_to_check() {
    let ci = aws().await;
    for (variables, says) in [
        (
            [ID, ("AWS_SECRET_ACCESS_KEY", "hunter3"), TOKEN, REGION],
            "is not signed by a user that the token allows",
        ),
        (
            [("AWS_ACCESS_KEY_ID", "AKIDOTHER"), SECRET, TOKEN, REGION],
            "is not signed by a user that the token allows",
        ),
        ([ID, SECRET, ("AWS_SESSION_TOKEN", "hunter3"), REGION], "has another session token"),
        ([ID, SECRET, TOKEN, ("AWS_REGION", "nowhere-1")], "is for an unknown host"),
    ] {
        let refused = ci.refused(ci.config("iam", json!({})), &variables).await;
        assert!(
            refused.contains(says) && refused.contains("(PermissionDenied); check (tctl get tokens)"),
            "{refused}"
        );
        assert!(!refused.contains("hunter") && !refused.contains("AKID"), "{refused}");
    }
    assert!(!ci.has_written());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_method_is_refused() {
    let ci = Ci::new(AUDIENCE).await;
    let refused = ci.refused(ci.config("iam", json!({})), &VARIABLES).await;
    assert!(refused.contains("the token is for another join method"), "{refused}");
    ci.lab.cluster.add_aws_token(BOT, "ci", user(Some(TOKEN.1))).unwrap();
    let proof = ci.issuer.token(AUDIENCE, ci.lab.clock.now() + HOUR).unwrap();
    let refused = ci.refused(ci.config("gitlab", json!({})), &[("TBOT_GITLAB_JWT", &proof)]).await;
    assert!(refused.contains("the token is for another join method"), "{refused}");
}
