//! Resources, application sessions, host certificates and leaf clusters.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{Request, StatusCode};
use serde_json::json;
use tbot_cluster::proto::{
    CreateAppSessionRequest, CreateAppSessionResponse, GetAppSessionRequest, GetAppSessionResponse,
    GetCertAuthoritiesRequest, GetCertAuthoritiesResponse, ListResourcesRequest, ListResourcesResponse,
    PaginatedResource, UserCertsRequest,
};
use tbot_cluster::{Code, DISCOVERED_NAME_LABEL, Resource, Role, method};
use x509_cert::name::Name;

use crate::certificates::{parse, ssh};
use crate::client::{Bot, Grpc, Key, connect_auth, http1};
use crate::fixture::{Fixture, HOUR, USER, error_message, refusal};
use crate::recording;

/// Lists resources as `client`, and returns the names of the databases.
async fn list_databases(
    fixture: &Fixture,
    client: &Bot,
    request: &ListResourcesRequest,
) -> Result<Vec<String>, tonic::Status> {
    let mut grpc = Grpc::connect(&fixture.cluster, client).await.unwrap();
    let response: ListResourcesResponse = grpc.call(method::LIST_RESOURCES, request).await?;
    let name = |resource: PaginatedResource| {
        let database = resource.database_server?.spec?.database?;
        Some(database.metadata?.name)
    };
    Ok(response.resources.into_iter().filter_map(name).collect())
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
async fn only_impersonated_roles_can_list_resources() {
    let fixture = Fixture::new().await;
    let output = fixture.impersonate().await;
    let discovered = Resource::database("pg-eu", "postgres").with_label(DISCOVERED_NAME_LABEL, "pg");
    fixture.cluster.add_resource(Resource::database("pg", "postgres"));
    fixture.cluster.add_resource(discovered);
    fixture.cluster.add_resource(Resource::application("pg", "pg.example"));
    let by_either_name =
        databases(r#"(name == "pg") || (labels["teleport.internal/discovered-name"] == "pg")"#);
    let by_label = ListResourcesRequest {
        labels: [(DISCOVERED_NAME_LABEL.to_owned(), "pg".to_owned())].into(),
        ..databases("")
    };
    for (request, names) in [
        (&by_either_name, vec!["pg", "pg-eu"]),
        (&databases(r#"name == "pg""#), vec!["pg"]),
        (&by_label, vec!["pg-eu"]),
        (&ListResourcesRequest { limit: 1, ..databases("") }, vec!["pg"]),
    ] {
        assert_eq!(list_databases(&fixture, &output, request).await.unwrap(), names, "{request:?}");
    }
    assert!(list_databases(&fixture, &fixture.bot, &by_either_name).await.unwrap().is_empty());
    let malformed = list_databases(&fixture, &output, &databases("name ==")).await;
    assert_eq!(refusal(malformed).code, Code::InvalidArgument);
}

#[tokio::test]
async fn a_new_application_session_is_not_found_at_first_as_recorded() {
    let fixture = Fixture::new().await;
    let output = fixture.impersonate().await;
    let mut grpc = Grpc::connect(&fixture.cluster, &output).await.unwrap();
    let session = |user: &str| CreateAppSessionRequest {
        username: user.to_owned(),
        public_addr: "dumper.127.0.0.1".to_owned(),
        cluster_name: "dev.test".to_owned(),
    };
    let other_user =
        grpc.call::<CreateAppSessionResponse>(method::CREATE_APP_SESSION, &session("bot-other")).await;
    assert_eq!(refusal(other_user).code, Code::PermissionDenied);
    let created: CreateAppSessionResponse =
        grpc.call(method::CREATE_APP_SESSION, &session(USER)).await.unwrap();
    let session_id = created.session.unwrap().metadata.unwrap().name;
    assert_eq!(session_id.len(), 64);

    let request = GetAppSessionRequest { session_id: session_id.clone() };
    let first = grpc.call::<GetAppSessionResponse>(method::GET_APP_SESSION, &request).await.unwrap_err();
    let recorded = recording::refused_call("first-join.json", method::GET_APP_SESSION);
    let recorded_id = recorded.request["session_id"].as_str().unwrap().to_owned();
    assert_eq!(
        (first.code(), first.message()),
        (Code::NotFound, &*recorded.error.replace(&recorded_id, &session_id))
    );
    let second: GetAppSessionResponse = grpc.call(method::GET_APP_SESSION, &request).await.unwrap();
    assert_eq!(second.session.unwrap().spec.unwrap().user, USER);
}

/// Sends `POST /v2/ca/host/certs` as `client`.
async fn post_host_cert(fixture: &Fixture, client: &Bot, body: &serde_json::Value) -> (StatusCode, String) {
    let tls = connect_auth(&fixture.cluster, client, &[], b"http/1.1").await.unwrap();
    let request = Request::post("/v2/ca/host/certs").body(body.to_string().into()).unwrap();
    let (status, _, text) = http1(tls, request).await.unwrap();
    (status, text)
}

#[tokio::test]
async fn a_host_certificate_matches_the_recorded_one() {
    let fixture = Fixture::new().await;
    let output = fixture.impersonate().await;
    // For the recorded key, with the recorded validity.
    let recorded = recording::text("outputs/ssh_host/ssh_host-cert.pub");
    let key = ssh_key::Certificate::from_openssh(recorded.trim()).unwrap().public_key().clone();
    let line = ssh_key::PublicKey::from(key).to_openssh().unwrap() + "\n";
    let body = json!({
        "key": BASE64_STANDARD.encode(&line),
        "hostname": "",
        "node_name": "",
        "principals": ["nodename.my.domain"],
        "auth_domain": "dev.test",
        "roles": ["Node"],
        "ttl": u64::try_from(HOUR.as_nanos()).unwrap(),
    });
    let (status, text) = post_host_cert(&fixture, &output, &body).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    let ours: String = serde_json::from_str(&text).unwrap();
    assert_eq!(ssh(ours.as_bytes()), ssh(recorded.as_bytes()));

    fixture.cluster.set_role(Role { allow_host_certs: false, ..Role::new("access") });
    let (status, text) = post_host_cert(&fixture, &output, &body).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    insta::assert_snapshot!(
        error_message(&text),
        @r#"access denied to perform action "create" on "host_cert""#
    );
}

/// Returns the values of the attribute `oid` with the names of their string types.
fn attributes(name: &Name, oid: &str) -> Vec<(String, String)> {
    use x509_cert::der::Tagged as _;
    let attributes = name.0.iter().flat_map(|rdn| rdn.0.iter());
    attributes
        .filter(|attribute| attribute.oid.to_string() == oid)
        .map(|attribute| {
            let value = String::from_utf8(attribute.value.value().to_vec()).unwrap();
            (attribute.value.tag().to_string(), value)
        })
        .collect()
}

#[tokio::test]
async fn certificates_can_be_routed_to_a_leaf_cluster() {
    const STREET_ADDRESS: &str = "2.5.4.9";
    const KUBERNETES_CLUSTER: &str = "1.3.9999.1.3";
    let mut fixture = Fixture::new().await;
    let output = fixture.impersonate().await;
    fixture.cluster.add_resource(Resource::kubernetes("kube"));
    let request = fixture.output(&Key::p256());
    let request = UserCertsRequest { route_to_cluster: "leaf.test".to_owned(), ..request };
    insta::assert_snapshot!(
        refusal(fixture.grpc.user_certs(&request).await),
        @r#"NotFound: remote cluster "leaf.test" is not found"#
    );

    fixture.cluster.add_leaf_cluster("leaf.test").unwrap();
    let certs = fixture.grpc.user_certs(&request).await.unwrap();
    let subject = parse(&certs.tls).tbs_certificate.subject;
    let street_address = attributes(&subject, STREET_ADDRESS);
    assert_eq!(street_address, [("PrintableString".to_owned(), "leaf.test".to_owned())]);
    let kubernetes_clusters = attributes(&subject, KUBERNETES_CLUSTER);
    assert!(
        kubernetes_clusters.is_empty(),
        "the Kubernetes cluster belongs to the root: {kubernetes_clusters:?}"
    );

    let request = GetCertAuthoritiesRequest { r#type: "host".to_owned(), include_key: false };
    let all: GetCertAuthoritiesResponse =
        fixture.grpc.call(method::GET_CERT_AUTHORITIES, &request).await.unwrap();
    let names: Vec<_> =
        all.cert_authorities_v2.iter().map(|ca| &ca.metadata.as_ref().unwrap().name).collect();
    assert_eq!(names, ["dev.test", "leaf.test"]);
    let tls = connect_auth(&fixture.cluster, &output, &[], b"http/1.1").await.unwrap();
    let request = Request::get("/v2/remoteclusters").body(Default::default()).unwrap();
    let (_, _, text) = http1(tls, request).await.unwrap();
    let leaves: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(leaves[0]["metadata"]["name"], "leaf.test");
}
