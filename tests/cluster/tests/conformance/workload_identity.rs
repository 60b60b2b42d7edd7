//! Workload identities: who may have one, in which words it is refused, and what is issued. Source: protocol facts of newer
//! servers, sections 9.1 and 9.3.

use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use prost::Message;
use serde_json::{Value, json};
use tbot_cluster::proto::{
    Certs, Credential, IssueWorkloadIdentitiesRequest, IssueWorkloadIdentitiesResponse,
    IssueWorkloadIdentityRequest, IssueWorkloadIdentityResponse, JwtSvidParams, LabelSelector,
    ListSpiffeFederationsRequest, ListSpiffeFederationsResponse, UserCertsRequest, X509SvidParams,
};
use tbot_cluster::{Cluster, ClusterConfig, Code, MovableClock, Role, WorkloadIdentity, method};
use x509_cert::Certificate;
use x509_cert::der::{Decode as _, Encode as _};

use crate::certificates::parse;
use crate::client::{Bot, Grpc, Key, frozen_clock, join};

const HOUR: Duration = Duration::from_secs(60 * 60);

struct Scene {
    cluster: Cluster,
    clock: MovableClock,
    /// As the bot acting with the role `access`.
    grpc: Grpc,
    /// `SubjectPublicKeyInfo` in DER.
    public_key: Vec<u8>,
}

async fn scene(version: &str) -> Scene {
    let clock = MovableClock::new(frozen_clock());
    let config = ClusterConfig { server_version: version.to_owned(), ..ClusterConfig::new(clock.clock()) };
    let cluster = Cluster::start(config).await.unwrap();
    let token = cluster.add_bot("robot", &["access"]).unwrap();
    let bot = join(&cluster, &token, Key::p256()).await;
    let key = Key::p256();
    let request = UserCertsRequest {
        public_key: key.line.clone().into(),
        username: "bot-robot".to_owned(),
        expires: Some((clock.now() + HOUR).into()),
        role_requests: vec!["access".to_owned()],
        use_role_requests: true,
        ..UserCertsRequest::default()
    };
    let certs = Grpc::connect(&cluster, &bot).await.unwrap().user_certs(&request).await.unwrap();
    let public_key = parse(&certs.tls).tbs_certificate.subject_public_key_info.to_der().unwrap();
    // Replies to outputs do not bring the host CA along.
    let certs = Certs { tls_ca_certs: bot.certs.tls_ca_certs, ..certs };
    let grpc = Grpc::connect(&cluster, &Bot { key, certs }).await.unwrap();
    Scene { cluster, clock, grpc, public_key }
}

impl Scene {
    fn x509(&self, name: &str) -> IssueWorkloadIdentityRequest {
        let params = X509SvidParams { public_key: self.public_key.clone(), use_issuer_overrides: true };
        IssueWorkloadIdentityRequest {
            name: name.to_owned(),
            x509_svid_params: Some(params),
            requested_ttl: prost_types::Duration::try_from(HOUR).ok(),
            ..IssueWorkloadIdentityRequest::default()
        }
    }

    async fn issue(&mut self, request: &IssueWorkloadIdentityRequest) -> Result<Credential, (Code, String)> {
        let answer =
            self.call::<IssueWorkloadIdentityResponse>(method::ISSUE_WORKLOAD_IDENTITY, request).await?;
        Ok(answer.credential.unwrap())
    }

    /// The names of what has these labels.
    async fn select(&mut self, labels: &[(&str, &[&str])]) -> Result<Vec<String>, (Code, String)> {
        let selector = |(key, values): &(&str, &[&str])| LabelSelector {
            key: (*key).to_owned(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        };
        let request = IssueWorkloadIdentitiesRequest {
            label_selectors: labels.iter().map(selector).collect(),
            jwt_svid_params: Some(JwtSvidParams { audiences: vec!["a".to_owned()] }),
            ..IssueWorkloadIdentitiesRequest::default()
        };
        let method = method::ISSUE_WORKLOAD_IDENTITIES;
        let answer = self.call::<IssueWorkloadIdentitiesResponse>(method, &request).await?;
        Ok(answer.credentials.into_iter().map(|credential| credential.workload_identity_name).collect())
    }

    async fn call<R: Message + Default>(
        &mut self,
        method: &str,
        request: &impl Message,
    ) -> Result<R, (Code, String)> {
        self.grpc.call(method, request).await.map_err(|status| (status.code(), status.message().to_owned()))
    }
}

#[tokio::test]
async fn a_certificate_is_for_the_key_and_lives_no_longer_than_it_may() {
    let mut scene = scene("18.0.0").await;
    let identity = WorkloadIdentity::new("web", "/svc/web");
    let short = WorkloadIdentity { max_ttl: HOUR / 2, ..WorkloadIdentity::new("short", "/svc/short") };
    scene.cluster.set_workload_identity(identity);
    scene.cluster.set_workload_identity(short);
    for (name, ttl) in [("web", HOUR), ("short", HOUR / 2)] {
        let request = scene.x509(name);
        let credential = scene.issue(&request).await.unwrap();
        assert_eq!(credential.spiffe_id, format!("spiffe://dev.test/svc/{name}"));
        let svid = credential.x509_svid.unwrap();
        let certificate = Certificate::from_der(&svid.cert).unwrap().tbs_certificate;
        assert_eq!(certificate.subject_public_key_info.to_der().unwrap(), scene.public_key);
        let ends = certificate.validity.not_after.to_unix_duration();
        assert_eq!(UNIX_EPOCH + ends, scene.clock.now() + ttl);
        assert_eq!(svid.chain, Vec::<Vec<u8>>::new());
    }
}

#[tokio::test]
async fn a_token_is_for_the_audiences() {
    let mut scene = scene("18.0.0").await;
    scene.cluster.set_workload_identity(WorkloadIdentity::new("web", "/svc/web"));
    let mut request = scene.x509("web");
    request.x509_svid_params = None;
    request.jwt_svid_params = Some(JwtSvidParams { audiences: vec!["a".to_owned(), "b".to_owned()] });
    let token = scene.issue(&request).await.unwrap().jwt_svid.unwrap().jwt;
    let parts: Vec<_> = token.split('.').collect();
    let claims: Value = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    assert_eq!((parts.len(), &claims["sub"]), (3, &json!("spiffe://dev.test/svc/web")));
    assert_eq!(claims["aud"], json!(["a", "b"]));
}

#[tokio::test]
async fn what_is_not_asked_for_rightly_is_refused_by_name() {
    let mut scene = scene("18.0.0").await;
    scene.cluster.set_workload_identity(WorkloadIdentity::new("web", "/svc/web"));
    let good = scene.x509("web");
    let both = JwtSvidParams { audiences: vec!["a".to_owned()] };
    let params = |public_key: &[u8]| {
        Some(X509SvidParams { public_key: public_key.to_vec(), use_issuer_overrides: true })
    };
    let negative = Some(prost_types::Duration { seconds: -1, nanos: 0 });
    for (request, code, words) in [
        (
            IssueWorkloadIdentityRequest { name: String::new(), ..good.clone() },
            Code::InvalidArgument,
            "name: ",
        ),
        (IssueWorkloadIdentityRequest { name: "nope".into(), ..good.clone() }, Code::NotFound, "\"nope\""),
        (
            IssueWorkloadIdentityRequest { jwt_svid_params: Some(both), ..good.clone() },
            Code::InvalidArgument,
            "one credential type",
        ),
        (
            IssueWorkloadIdentityRequest { x509_svid_params: params(b""), ..good.clone() },
            Code::InvalidArgument,
            "public_key: is required",
        ),
        (
            // PEM, where DER is wanted.
            IssueWorkloadIdentityRequest { x509_svid_params: params(b"-----BEGIN"), ..good.clone() },
            Code::InvalidArgument,
            "parsing public key",
        ),
        (
            IssueWorkloadIdentityRequest { requested_ttl: negative, ..good.clone() },
            Code::InvalidArgument,
            "requested_ttl",
        ),
        (
            IssueWorkloadIdentityRequest {
                x509_svid_params: None,
                jwt_svid_params: Some(JwtSvidParams::default()),
                ..good.clone()
            },
            Code::InvalidArgument,
            "at least one audience",
        ),
    ] {
        let refused = scene.issue(&request).await.unwrap_err();
        assert!(refused.0 == code && refused.1.contains(words), "{words}: {refused:?}");
    }
    assert!(scene.issue(&good).await.is_ok());

    scene.cluster.set_role(Role { workload_identities: false, ..Role::new("access") });
    let refused = scene.issue(&good).await.unwrap_err();
    let words = r#"access denied to perform action "read" on "workload_identity""#;
    assert_eq!(refused, (Code::PermissionDenied, words.to_owned()));
}

#[tokio::test]
async fn labels_select_any_number_up_to_ten() {
    let mut scene = scene("18.0.0").await;
    for number in 0..6 {
        let env = if number % 2 == 0 { "prod" } else { "dev" };
        let identity = WorkloadIdentity::new(&format!("w{number}"), &format!("/{number}"));
        scene.cluster.set_workload_identity(identity.with_label("env", env).with_label("team", "a"));
    }
    assert_eq!(scene.select(&[("env", &["prod"])]).await.unwrap(), ["w0", "w2", "w4"]);
    assert_eq!(scene.select(&[("env", &["prod", "dev"]), ("team", &["a"])]).await.unwrap().len(), 6);
    assert_eq!(scene.select(&[("env", &["*"]), ("team", &["b"])]).await.unwrap(), Vec::<String>::new());
    assert!(scene.select(&[]).await.unwrap_err().1.contains("at least one label selector"));
    for number in 6..11 {
        scene.cluster.set_workload_identity(WorkloadIdentity::new(&format!("w{number}"), "/w"));
    }
    assert!(scene.select(&[("*", &["*"])]).await.unwrap_err().1.contains("exceeds maximum permitted"));
}

#[tokio::test]
async fn federations_come_in_pages() {
    let mut scene = scene("18.0.0").await;
    for number in 0..5 {
        scene.cluster.federate(&format!("d{number}.test"), (number == 3).then(|| "{}".to_owned()));
    }
    let mut names = Vec::new();
    let mut request = ListSpiffeFederationsRequest { page_size: 2, page_token: String::new() };
    loop {
        let method = method::LIST_SPIFFE_FEDERATIONS;
        let page: ListSpiffeFederationsResponse = scene.call(method, &request).await.unwrap();
        assert!(page.spiffe_federations.len() <= 2);
        names.extend(
            page.spiffe_federations.into_iter().map(|f| (f.metadata.unwrap().name, f.status.is_some())),
        );
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    let expected: Vec<_> = (0..5).map(|number| (format!("d{number}.test"), number == 3)).collect();
    assert_eq!(names, expected);
}

#[tokio::test]
async fn older_clusters_know_nothing_of_it() {
    let mut scene = scene("16.4.0").await;
    scene.cluster.set_workload_identity(WorkloadIdentity::new("web", "/svc/web"));
    let request = scene.x509("web");
    assert_eq!(scene.issue(&request).await.unwrap_err().0, Code::Unimplemented);
}
