//! What is behind the cluster: who sees it, application sessions, host certificates, leaves. As recorded, and in the words
//! that were observed.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{Request, StatusCode};
use serde_json::json;
use tbot_cluster::proto::{
    AppSessionReply, Certs, CreateAppSessionRequest, GetAppSessionRequest, GetCertAuthoritiesRequest,
    GetCertAuthoritiesResponse, ListResourcesRequest, ListResourcesResponse, UserCertsRequest,
};
use tbot_cluster::{Clock, Cluster, ClusterConfig, Code, DISCOVERED_NAME, Resource, Role, method};

use crate::certificates::{ssh, x509};
use crate::client::{self, Bot, Grpc, Key, connect_auth, get, http1, join};
use crate::recording;

const HOUR: std::time::Duration = std::time::Duration::from_secs(60 * 60);

/// A joined bot, and the same bot acting with its role.
struct Stage {
    cluster: Cluster,
    clock: Clock,
    bot: Bot,
    acting: Bot,
}

impl Stage {
    async fn new() -> Self {
        let clock = client::frozen_clock();
        let cluster = Cluster::start(ClusterConfig::new(clock.clone())).await.unwrap();
        let token = cluster.add_bot("robot", &["access"]).unwrap();
        let bot = join(&cluster, &token, Key::p256()).await;
        let key = Key::p256();
        let request = output(&clock, &key, "");
        let mut certs = Grpc::connect(&cluster, &bot).await.unwrap().user_certs(&request).await.unwrap();
        certs.tls_ca_certs.clone_from(&bot.certs.tls_ca_certs);
        Self { cluster, clock, bot, acting: Bot { key, certs } }
    }

    async fn list(&self, caller: &Bot, request: &ListResourcesRequest) -> Result<Vec<String>, tonic::Status> {
        let mut grpc = Grpc::connect(&self.cluster, caller).await.unwrap();
        let reply: ListResourcesResponse = grpc.call(method::LIST_RESOURCES, request).await?;
        let name = |resource: tbot_cluster::proto::PaginatedResource| {
            let database = resource.database_server?.spec?.database?;
            Some(database.metadata?.name)
        };
        Ok(reply.resources.into_iter().filter_map(name).collect())
    }

    /// `POST /v2/ca/host/certs` of the acting bot.
    async fn host_cert(&self, body: serde_json::Value) -> (StatusCode, String) {
        let tls = connect_auth(&self.cluster, &self.acting, &[], b"http/1.1").await.unwrap();
        let request = Request::post("/v2/ca/host/certs").body(body.to_string().into()).unwrap();
        let (status, _, text) = http1(tls, request).await.unwrap();
        (status, text)
    }
}

fn output(clock: &Clock, key: &Key, route_to_cluster: &str) -> UserCertsRequest {
    UserCertsRequest {
        public_key: key.line.clone().into(),
        username: "bot-robot".to_owned(),
        expires: Some((clock() + HOUR).into()),
        route_to_cluster: route_to_cluster.to_owned(),
        role_requests: vec!["access".to_owned()],
        use_role_requests: true,
        ..UserCertsRequest::default()
    }
}

fn databases(predicate: &str) -> ListResourcesRequest {
    ListResourcesRequest {
        resource_type: "db_server".to_owned(),
        limit: 1000,
        predicate_expression: predicate.to_owned(),
        ..ListResourcesRequest::default()
    }
}

#[tokio::test]
async fn resources_show_themselves_to_roles_and_not_to_the_bot() {
    let stage = Stage::new().await;
    stage.cluster.add_resource(Resource::database("pg", "postgres"));
    stage.cluster.add_resource(Resource::database("pg-eu", "postgres").with_label(DISCOVERED_NAME, "pg"));
    stage.cluster.add_resource(Resource::application("pg", "pg.example"));
    let named = databases(r#"(name == "pg") || (labels["teleport.internal/discovered-name"] == "pg")"#);
    assert_eq!(stage.list(&stage.acting, &named).await.unwrap(), ["pg", "pg-eu"]);
    assert!(stage.list(&stage.bot, &named).await.unwrap().is_empty());
    assert_eq!(stage.list(&stage.acting, &databases(r#"name == "pg""#)).await.unwrap(), ["pg"]);
    let labelled = [(DISCOVERED_NAME.to_owned(), "pg".to_owned())].into();
    let labelled = ListResourcesRequest { labels: labelled, ..databases("") };
    assert_eq!(stage.list(&stage.acting, &labelled).await.unwrap(), ["pg-eu"]);
    let page = |limit| ListResourcesRequest { limit, ..databases("") };
    assert_eq!(stage.list(&stage.acting, &page(1)).await.unwrap(), ["pg"]);
    let refused = stage.list(&stage.acting, &databases("name ==")).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_new_application_session_is_not_found_at_first_in_the_recorded_words() {
    let stage = Stage::new().await;
    let mut grpc = Grpc::connect(&stage.cluster, &stage.acting).await.unwrap();
    let session = |user: &str| CreateAppSessionRequest {
        username: user.to_owned(),
        public_addr: "dumper.127.0.0.1".to_owned(),
        cluster_name: "dev.test".to_owned(),
    };
    let stranger = grpc.call::<AppSessionReply>(method::CREATE_APP_SESSION, &session("bot-other")).await;
    assert_eq!(stranger.unwrap_err().code(), Code::PermissionDenied);
    let made: AppSessionReply = grpc.call(method::CREATE_APP_SESSION, &session("bot-robot")).await.unwrap();
    let session_id = made.session.unwrap().metadata.unwrap().name;
    assert_eq!(session_id.len(), 64);

    let asked = GetAppSessionRequest { session_id: session_id.clone() };
    let early = grpc.call::<AppSessionReply>(method::GET_APP_SESSION, &asked).await.unwrap_err();
    let recorded = recording::refused("first-join.json", method::GET_APP_SESSION);
    let recorded_id = recorded.request["session_id"].as_str().unwrap().to_owned();
    assert_eq!(
        (early.code(), early.message()),
        (Code::NotFound, &*recorded.error.replace(&recorded_id, &session_id))
    );
    let found: AppSessionReply = grpc.call(method::GET_APP_SESSION, &asked).await.unwrap();
    assert_eq!(found.session.unwrap().spec.unwrap().user, "bot-robot");
}

#[tokio::test]
async fn a_host_certificate_is_what_the_recorded_one_is() {
    let stage = Stage::new().await;
    // For the recorded key, and as long as it was asked for then.
    let recorded = recording::text("outputs/ssh_host/ssh_host-cert.pub");
    let certified = ssh_key::Certificate::from_openssh(recorded.trim()).unwrap().public_key().clone();
    let line = ssh_key::PublicKey::from(certified).to_openssh().unwrap() + "\n";
    let body = json!({
        "key": BASE64_STANDARD.encode(&line),
        "hostname": "",
        "node_name": "",
        "principals": ["nodename.my.domain"],
        "auth_domain": "dev.test",
        "roles": ["Node"],
        "ttl": u64::try_from(HOUR.as_nanos()).unwrap(),
    });
    let (status, text) = stage.host_cert(body.clone()).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    let ours: String = serde_json::from_str(&text).unwrap();
    assert_eq!(ssh(ours.as_bytes()), ssh(recorded.as_bytes()));

    stage.cluster.set_role(Role { host_cert: false, ..Role::new("access") });
    let (status, text) = stage.host_cert(body).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(text.contains(r#"access denied to perform action \"create\" on \"host_cert\""#), "{text}");
}

#[tokio::test]
async fn certificates_lead_to_a_leaf_once_it_trusts_the_cluster() {
    let stage = Stage::new().await;
    stage.cluster.add_resource(Resource::kubernetes("kube"));
    let mut grpc = Grpc::connect(&stage.cluster, &stage.bot).await.unwrap();
    let key = Key::p256();
    let refused = grpc.user_certs(&output(&stage.clock, &key, "leaf.test")).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::NotFound, r#"remote cluster "leaf.test" is not found"#)
    );

    stage.cluster.add_leaf("leaf.test").unwrap();
    let certs: Certs = grpc.user_certs(&output(&stage.clock, &key, "leaf.test")).await.unwrap();
    let shown = format!("{:?}", x509(&certs.tls));
    assert!(shown.contains(r#"("2.5.4.9", "PrintableString", "leaf.test")"#), "{shown}");
    assert!(!shown.contains("1.3.9999.1.3\""), "a cluster of the root's is not the leaf's: {shown}");

    let request = GetCertAuthoritiesRequest { r#type: "host".to_owned(), include_key: false };
    let all: GetCertAuthoritiesResponse = grpc.call(method::GET_CERT_AUTHORITIES, &request).await.unwrap();
    let names: Vec<_> =
        all.cert_authorities_v2.iter().map(|ca| &ca.metadata.as_ref().unwrap().name).collect();
    assert_eq!(names, ["dev.test", "leaf.test"]);
    let tls = connect_auth(&stage.cluster, &stage.acting, &[], b"http/1.1").await.unwrap();
    let request = Request::get("/v2/remoteclusters").body(Default::default()).unwrap();
    let (_, _, text) = http1(tls, request).await.unwrap();
    let leaves: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(leaves[0]["metadata"]["name"], "leaf.test");
}

#[tokio::test]
async fn a_cluster_says_the_version_it_is_told() {
    let mut config = ClusterConfig::new(client::frozen_clock());
    config.server_version = "17.2.1".to_owned();
    let cluster = Cluster::start(config).await.unwrap();
    let (_, _, found) = get(&cluster, "/webapi/find").await;
    assert!(found.contains(r#""server_version":"17.2.1""#), "{found}");
}
