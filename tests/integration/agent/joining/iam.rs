//! The join method `iam`: where AWS credentials and the region come from, and joins with requests that they sign.

use std::time::SystemTime;

use serde_json::json;
use tbot::agent::{AttestationError, error_line};
use tbot_cluster::proto::RegisterUsingIamMethodRequest;
use tbot_cluster::{AwsUser, SERVER_VERSION, method};

use super::super::certificate::assert_not_renewable;
use super::super::fixture::{BOT, read};
use super::super::http_endpoint::{HttpEndpoint, HttpRequest, ScriptedResponse};
use super::super::log_capture::LogCapture;
use super::{AUDIENCE, DelegatedJoin};

pub(super) const ACCESS_KEY_ID: (&str, &str) = ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE");
pub(in super::super) const SECRET_ACCESS_KEY: (&str, &str) = ("AWS_SECRET_ACCESS_KEY", "hunter2/secret+key");
pub(super) const SESSION_TOKEN: (&str, &str) = ("AWS_SESSION_TOKEN", "hunter2/AKIDEXAMPLE/session+token==");
pub(super) const REGION: (&str, &str) = ("AWS_REGION", "eu-central-1");
pub(super) const ROLE: (&str, &str) = ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/bot");
/// Keeps tests from sending requests to the link-local address of EC2's metadata service.
pub(super) const NO_EC2: (&str, &str) = ("AWS_EC2_METADATA_DISABLED", "true");
/// The variable that names EC2's metadata service.
pub(super) const EC2_URL: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";

/// Credentials and a region in the environment.
pub(in super::super) const VARIABLES: [(&str, &str); 5] =
    [ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN, REGION, NO_EC2];

/// The AWS user whose requests the join token accepts.
pub(super) fn user(session_token: Option<&str>) -> AwsUser {
    AwsUser {
        access_key_id: ACCESS_KEY_ID.1.to_owned(),
        secret_access_key: SECRET_ACCESS_KEY.1.to_owned(),
        session_token: session_token.map(str::to_owned),
    }
}

/// Returns a cluster that lets the credentials of [`VARIABLES`] join.
pub(in super::super) async fn cluster_with_aws_token() -> DelegatedJoin {
    cluster_of_version(SERVER_VERSION).await
}

/// Returns such a cluster that reports `version`.
pub(in super::super) async fn cluster_of_version(version: &str) -> DelegatedJoin {
    let join = DelegatedJoin::with_version(version, AUDIENCE).await;
    join.fixture.cluster.add_aws_token(BOT, "ci", user(Some(SESSION_TOKEN.1))).unwrap();
    join
}

/// The requests that the agent sent to the cluster to join.
fn join_requests(join: &DelegatedJoin) -> Vec<RegisterUsingIamMethodRequest> {
    let calls = join.fixture.calls(method::REGISTER_USING_IAM);
    calls.iter().map(|call| call.decode().unwrap()).collect()
}

/// Credentials in the format of ECS, EKS and EC2.
fn credentials_document() -> String {
    json!({
        "Code": "Success", "Type": "AWS-HMAC", "Expiration": "2030-01-01T00:00:00Z",
        "AccessKeyId": ACCESS_KEY_ID.1, "SecretAccessKey": SECRET_ACCESS_KEY.1, "Token": SESSION_TOKEN.1,
    })
    .to_string()
}

pub(super) const EC2_TOKEN: &str = "/latest/api/token";
pub(super) const EC2_ROLES: &str = "/latest/meta-data/iam/security-credentials/";
pub(super) const EC2_CREDENTIALS: &str = "/latest/meta-data/iam/security-credentials/the-role";
pub(super) const EC2_REGION: &str = "/latest/meta-data/placement/region";

/// Version 2 of the metadata service of an EC2 instance that has a role.
pub(super) fn ec2(request: &HttpRequest) -> (u16, String) {
    let response = |status: u16, body: &str| (status, body.to_owned());
    match (request.method.as_str(), request.target.as_str()) {
        ("PUT", EC2_TOKEN) if !request.header("x-aws-ec2-metadata-token-ttl-seconds").is_empty() => {
            response(200, "canary-session")
        }
        ("GET", _) if request.header("x-aws-ec2-metadata-token") != "canary-session" => response(401, ""),
        ("GET", EC2_ROLES) => response(200, "the-role\n"),
        ("GET", EC2_CREDENTIALS) => (200, credentials_document()),
        ("GET", EC2_REGION) => response(200, "us-east-1"),
        _ => response(404, ""),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_run_joins_with_the_credentials_in_the_environment() {
    let join = cluster_with_aws_token().await;
    let config = join.config("iam", json!({}));
    let mut keys = Vec::new();
    for _ in 0..2 {
        join.run(config.clone(), &VARIABLES).await.unwrap();
        keys.push(read(&join.fixture.storage().join("key")));
        assert_not_renewable(&join.fixture.storage().join("tlscert"));
        assert!(!join.fixture.has_renewal_marker());
    }
    assert_ne!(keys[0], keys[1]);
    assert!(join.has_written_output() && join.joins().is_empty(), "joined through the web API");

    let [first, second] = &join_requests(&join)[..] else { panic!("not joined twice") };
    assert_ne!(first.sts_identity_request, second.sts_identity_request, "each join has its own challenge");
    let common = first.register_using_token_request.clone().unwrap();
    assert_eq!((common.role.as_str(), common.token.as_str()), ("Bot", "ci"));
    assert!(common.public_tls_key.starts_with(b"-----BEGIN PUBLIC KEY-----"));
    assert!(common.public_ssh_key.ends_with(b"\n") && common.id_token.is_empty());
    let expires = SystemTime::try_from(common.expires.unwrap()).unwrap();
    let lifetime = expires.duration_since(join.fixture.clock.now()).unwrap();
    assert_eq!(lifetime.as_secs().div_ceil(60), 60);
    let sts_request = String::from_utf8(first.sts_identity_request.clone()).unwrap();
    assert!(sts_request.contains("\r\nhost: sts.eu-central-1.amazonaws.com\r\n"), "{sts_request}");
    assert!(!sts_request.contains(SECRET_ACCESS_KEY.1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_credentials_have_no_session_token() {
    let join = DelegatedJoin::new(AUDIENCE).await;
    join.fixture.cluster.add_aws_token(BOT, "ci", user(None)).unwrap();
    let variables = [
        ACCESS_KEY_ID,
        SECRET_ACCESS_KEY,
        ("AWS_DEFAULT_REGION", "us-gov-west-1"),
        NO_EC2,
        ("AWS_CONFIG_FILE", "/nonexistent/a"),
    ];
    join.run(join.config("iam", json!({})), &variables).await.unwrap();
    assert!(join.has_written_output());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ec2_instance_provides_credentials_of_its_role_and_its_region() {
    let join = cluster_with_aws_token().await;
    let ec2 = HttpEndpoint::start(ScriptedResponse::from_fn(ec2));
    let url = ec2.url("");
    let metadata = (EC2_URL, url.as_str());
    let targets_from = |first: usize| -> Vec<String> {
        ec2.requests()[first..].iter().map(|request| request.target.clone()).collect()
    };
    join.run(join.config("iam", json!({})), &[metadata]).await.unwrap();
    assert_eq!(targets_from(0), [EC2_TOKEN, EC2_ROLES, EC2_CREDENTIALS, EC2_REGION]);
    // With credentials in the environment only the region is requested, and with a region only credentials.
    let credentials = [ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN, metadata];
    join.run(join.config("iam", json!({})), &credentials).await.unwrap();
    assert_eq!(targets_from(4), [EC2_TOKEN, EC2_REGION]);
    join.run(join.config("iam", json!({})), &[REGION, metadata]).await.unwrap();
    assert_eq!(targets_from(6), [EC2_TOKEN, EC2_ROLES, EC2_CREDENTIALS]);

    let hosts = join_requests(&join).into_iter().map(|request| {
        let sts_request = String::from_utf8(request.sts_identity_request).unwrap();
        sts_request.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
    });
    let [east, central] = ["sts.us-east-1.amazonaws.com", "sts.eu-central-1.amazonaws.com"];
    assert_eq!(hosts.collect::<Vec<_>>(), [east, east, central]);
}

/// The host of STS in the newest request to join.
fn sts_host(join: &DelegatedJoin) -> String {
    let request = join_requests(join).pop().unwrap().sts_identity_request;
    let request = String::from_utf8(request).unwrap();
    request.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

#[tokio::test]
async fn a_machine_without_a_region_uses_the_default_one() {
    let log = LogCapture::start();
    let join = cluster_with_aws_token().await;
    let credentials = [ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN];
    join.run(join.config("iam", json!({})), &[&credentials[..], &[NO_EC2]].concat()).await.unwrap();
    assert_eq!(sts_host(&join), "sts.us-east-1.amazonaws.com");
    // A metadata service that knows no region, such as that of another cloud, or that returns none.
    for (target, status, body) in
        [(EC2_TOKEN, 404, ""), (EC2_REGION, 404, ""), (EC2_REGION, 200, "hunter2.example/")]
    {
        let service = HttpEndpoint::start(ScriptedResponse::from_fn(move |request| {
            if request.target == target { (status, body.to_owned()) } else { ec2(request) }
        }));
        let url = service.url("");
        let variables = [&credentials[..], &[(EC2_URL, &url)]].concat();
        join.run(join.config("iam", json!({})), &variables).await.unwrap();
        assert_eq!(sts_host(&join), "sts.us-east-1.amazonaws.com", "{target}");
        assert!(!service.requests().is_empty());
    }
    assert!(!log.text().contains("hunter2"), "{}", log.text());
    // An EC2 instance whose metadata service fails may be in another partition.
    let service = HttpEndpoint::start(ScriptedResponse::from_fn(|request| {
        if request.target == EC2_REGION { (503, String::new()) } else { ec2(request) }
    }));
    let url = service.url("");
    let variables = [&credentials[..], &[(EC2_URL, &url)]].concat();
    let error = join.attestation_error(join.config("iam", json!({})), &variables).await;
    assert!(matches!(error, AttestationError::Refused { status: 503, .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_can_select_the_fips_endpoint() {
    let join = cluster_with_aws_token().await;
    let variables = [&VARIABLES[..], &[("AWS_USE_FIPS_ENDPOINT", "true")]].concat();
    join.run(join.config("iam", json!({})), &variables).await.unwrap();
    assert_eq!(sts_host(&join), "sts-fips.us-east-1.amazonaws.com");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_containers_authorization_token_is_sent_to_its_credentials_endpoint() {
    let join = cluster_with_aws_token().await;
    let endpoint = HttpEndpoint::start(ScriptedResponse::Fixed(200, credentials_document()));
    let (url, file) = (endpoint.url("/v1/credentials"), join.fixture.path("token"));
    std::fs::write(&file, "hunter2-file\n").unwrap();
    let full = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.as_str());
    let in_variable = ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "hunter2-variable");
    let in_file = ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file.to_str().unwrap());
    for variables in [
        &[full, REGION, NO_EC2][..],
        &[full, REGION, NO_EC2, in_variable],
        &[full, REGION, NO_EC2, in_variable, in_file],
    ] {
        join.run(join.config("iam", json!({})), variables).await.unwrap();
    }
    let requests = endpoint.requests();
    let sent: Vec<_> = requests.iter().map(|request| request.header("authorization")).collect();
    assert_eq!(sent, ["", "hunter2-variable", "hunter2-file"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_assumes_its_role_with_its_web_identity_token() {
    let join = cluster_with_aws_token().await;
    let credentials = json!({
        "AccessKeyId": ACCESS_KEY_ID.1, "SecretAccessKey": SECRET_ACCESS_KEY.1,
        "SessionToken": SESSION_TOKEN.1, "Expiration": 1.9e9,
    });
    let response = json!({ "AssumeRoleWithWebIdentityResponse":
        { "AssumeRoleWithWebIdentityResult": { "Credentials": credentials } } });
    let sts = HttpEndpoint::start(ScriptedResponse::Fixed(200, response.to_string()));
    let (url, file) = (sts.url("/"), join.fixture.path("jwt"));
    let variables = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", file.to_str().unwrap()),
        ("AWS_ENDPOINT_URL_STS", url.as_str()),
        ROLE,
        REGION,
        NO_EC2,
    ];
    std::fs::write(&file, "hunter2").unwrap();
    let error = join.attestation_error(join.config("iam", json!({})), &variables).await;
    let AttestationError::Malformed { location, .. } = &error else { panic!("{error:?}") };
    assert_eq!(location, file.to_str().unwrap());
    assert!(!error_line(&error, error.hint().as_ref()).contains("hunter2"), "{error}");

    std::fs::write(&file, "hunter1.hunter2.hunter3\n").unwrap();
    join.run(join.config("iam", json!({})), &variables).await.unwrap();
    let request = sts.only_request();
    assert_eq!((request.method.as_str(), request.header("accept")), ("POST", "application/json"));
    let sent: Vec<_> = url::form_urlencoded::parse(request.body.as_bytes()).into_owned().collect();
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
    assert_eq!(join_requests(&join).len(), 1);

    sts.set_response(ScriptedResponse::Fixed(403, "hunter2".to_owned()));
    let error = join.attestation_error(join.config("iam", json!({})), &variables).await;
    let AttestationError::Refused { status, hint, .. } = &error else { panic!("{error:?}") };
    assert!(*status == 403 && hint.as_str().contains("AWS_ROLE_ARN"), "{error:?}");
    assert!(!error_line(&error, error.hint().as_ref()).contains("hunter2"), "{error}");

    let variables = [&variables[..], &[("AWS_ENDPOINT_URL_STS", "http://a.example")]].concat();
    let error = join.attestation_error(join.config("iam", json!({})), &variables).await;
    assert!(
        matches!(error, AttestationError::InvalidAddress { variable: "AWS_ENDPOINT_URL_STS", .. }),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_provides_credentials_and_a_region() {
    let join = cluster_with_aws_token().await;
    let home = join.fixture.path("home");
    std::fs::create_dir_all(home.join(".aws")).unwrap();
    std::fs::write(home.join(".aws/config"), "[profile bot]\nregion = us-west-2\n").unwrap();
    let credentials = format!(
        "[bot]\naws_access_key_id = {}\naws_secret_access_key = {}\naws_session_token = {}\n",
        ACCESS_KEY_ID.1, SECRET_ACCESS_KEY.1, SESSION_TOKEN.1
    );
    std::fs::write(home.join(".aws/credentials"), credentials).unwrap();
    let home = ("HOME", home.to_str().unwrap());
    join.run(join.config("iam", json!({})), &[home, ("AWS_PROFILE", "bot"), NO_EC2]).await.unwrap();
    assert_eq!(join_requests(&join).len(), 1);
    // The profile `default` does not exist.
    let error = join.attestation_error(join.config("iam", json!({})), &[home, NO_EC2]).await;
    assert!(matches!(error, AttestationError::Missing { .. }), "{error:?}");
    assert_eq!(join_requests(&join).len(), 1);
}
