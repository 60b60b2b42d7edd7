//! TLS, gRPC and REST: which connections and calls reach which server.

use std::time::Duration;

use http::{Request, StatusCode};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tbot_cluster::proto::{
    Certs, GetClusterCaCertResponse, GetRoleRequest, PingRequest, PingResponse, RegisterUsingTokenRequest,
    RoleV6,
};
use tbot_cluster::{Cluster, ClusterConfig, Code, method};

use crate::client::{
    self, Grpc, Key, connect, connect_auth, connect_to, get, hex_name, http1, join, join_body,
};
use crate::fixture::{Fixture, HOUR, frozen_clock, refusal, start_cluster, start_cluster_of};

#[tokio::test]
async fn auth_requires_a_single_valid_certificate() {
    let Fixture { cluster, clock, bot, .. } = Fixture::new().await;
    let name = hex_name(cluster.name());
    let alpn = format!("teleport-auth@{name}");
    let alpn = [alpn.as_bytes(), b"h2"];

    let anonymous = connect(&cluster, &name, &bot.certs.tls_ca_certs, None, &alpn).await.unwrap();
    // With TLS 1.3, the client learns of the missing certificate only after the handshake.
    let mut grpc = Grpc::over(anonymous).await.unwrap();
    assert_eq!(
        refusal(grpc.call::<PingResponse>(method::PING, &PingRequest {}).await).code,
        Code::Unavailable
    );

    let chain = connect_auth(&cluster, &bot, &bot.certs.tls_ca_certs[..1], b"h2").await.unwrap();
    let mut grpc = Grpc::over(chain).await.unwrap();
    insta::assert_snapshot!(
        refusal(grpc.call::<PingResponse>(method::PING, &PingRequest {}).await),
        @"PermissionDenied: access denied: intermediaries are not supported"
    );

    let other = format!("teleport-auth@{}", hex_name("other.test"));
    let other = connect(&cluster, &name, &bot.certs.tls_ca_certs, None, &[other.as_bytes(), b"h2"]).await;
    assert!(other.is_err(), "the port must not serve another cluster's auth server");

    clock.advance(HOUR + Duration::from_secs(1));
    let mut grpc = Grpc::connect(&cluster, &bot).await.unwrap();
    assert_eq!(
        refusal(grpc.call::<PingResponse>(method::PING, &PingRequest {}).await).code,
        Code::Unavailable
    );
}

/// A real server 15 behaved like this, too.
#[tokio::test]
async fn the_auth_servers_own_port_serves_clients_with_and_without_a_certificate() {
    let Fixture { cluster, bot, .. } = Fixture::new().await;
    let connect = |name: &'static str, identity, alpn: &'static [u8]| {
        let roots = [cluster.authority_pem("host").into_bytes()];
        let address = cluster.auth_addr();
        async move { connect_to(address, name, &roots, identity, &[alpn]).await.unwrap() }
    };
    let tls = connect("teleport.cluster.local", None, b"h2").await;
    let mut anonymous = Grpc::over(tls).await.unwrap();
    let ca: GetClusterCaCertResponse = anonymous.call(method::GET_CLUSTER_CA_CERT, &()).await.unwrap();
    assert_eq!(ca.tls_ca, cluster.authority_pem("host").into_bytes());
    let ping: PingResponse = anonymous.call(method::PING, &PingRequest {}).await.unwrap();
    assert_eq!(ping.server_version, "15.0.0-dev");
    let role = GetRoleRequest { name: "access".to_owned() };
    let refused = anonymous.call::<RoleV6>(method::GET_ROLE, &role).await;
    assert_eq!(refusal(refused).code, Code::PermissionDenied);
    let request = RegisterUsingTokenRequest::default();
    let refused = anonymous.call::<Certs>(method::REGISTER_USING_TOKEN, &request).await;
    assert_eq!(refusal(refused).code, Code::Unimplemented, "since version 17");

    let tls = connect("teleport.cluster.local", None, b"http/1.1").await;
    assert_eq!(tls.get_ref().1.alpn_protocol(), None);
    let token = cluster.add_bot("direct", &["access"]).unwrap();
    let body = join_body(&token, &Key::p256()).to_string();
    let request = Request::post("/v2/tokens/register").header("content-type", "application/json");
    let (status, _, body) = http1(tls, request.body(body.into()).unwrap()).await.unwrap();
    assert_eq!(status, StatusCode::OK, "{body}");

    let leaf = CertificateDer::from_pem_slice(&bot.certs.tls).unwrap();
    let identity = Some((vec![leaf], bot.key.private.clone_key()));
    let mut grpc = Grpc::over(connect("teleport.cluster.local", identity, b"h2").await).await.unwrap();
    let _: PingResponse = grpc.call(method::PING, &PingRequest {}).await.unwrap();
}

#[tokio::test]
async fn the_web_server_refuses_grpc_in_plain_text() {
    let (cluster, _) = start_cluster().await;
    let request = Request::post(method::PING).header("content-type", "application/grpc");
    let (status, headers, _) =
        client::web(&cluster, request.body(Default::default()).unwrap()).await.unwrap();
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(get(&cluster, "/webapi/nothing").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn rest_is_served_without_a_negotiated_protocol() {
    let Fixture { cluster, bot, .. } = Fixture::new().await;
    let tls = connect_auth(&cluster, &bot, &[], b"http/1.1").await.unwrap();
    assert_eq!(tls.get_ref().1.alpn_protocol(), None);
    let request = Request::get("/v2/remoteclusters").body(Default::default()).unwrap();
    let (status, headers, body) = http1(tls, request).await.unwrap();
    assert_eq!((status, body.as_str()), (StatusCode::OK, "[]"));
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(cluster.requests().last().unwrap().method, method::REMOTE_CLUSTERS);
}

#[tokio::test]
async fn a_client_version_must_be_semver() {
    let Fixture { cluster: _cluster, mut grpc, .. } = Fixture::new().await;
    grpc.version = "fifteen";
    let request = GetRoleRequest { name: "bot-robot".to_owned() };
    insta::assert_snapshot!(
        refusal(grpc.call::<RoleV6>(method::GET_ROLE, &request).await),
        @"InvalidArgument: unrecognized client version: fifteen is not a valid semver"
    );
    let _: PingResponse = grpc.call(method::PING, &PingRequest {}).await.unwrap();
}

#[tokio::test]
async fn unknown_methods_are_unimplemented_and_logged() {
    let Fixture { cluster, mut grpc, .. } = Fixture::new().await;
    let response = grpc.call::<()>("/proto.AuthService/GetUser", &()).await;
    assert_eq!(refusal(response).code, Code::Unimplemented);
    assert_eq!(cluster.requests().last().unwrap().method, "/proto.AuthService/GetUser");
}

#[tokio::test]
async fn a_cluster_name_too_long_for_a_server_name_works() {
    let mut config = ClusterConfig::new(frozen_clock());
    config.cluster_name = "a-name-of-more-than-thirty-one-bytes.test".to_owned();
    let cluster = Cluster::start(config).await.unwrap();
    let token = cluster.add_bot("robot", &["access"]).unwrap();
    let bot = join(&cluster, &token, Key::p256()).await;
    let alpn = format!("teleport-auth@{}", hex_name(cluster.name()));
    let leaf = CertificateDer::from_pem_slice(&bot.certs.tls).unwrap();
    let identity = Some((vec![leaf], bot.key.private.clone_key()));
    let alpn = [alpn.as_bytes(), b"h2"];
    let roots = &bot.certs.tls_ca_certs;
    let tls = connect(&cluster, "teleport.cluster.local", roots, identity, &alpn).await.unwrap();
    let ping: PingResponse =
        Grpc::over(tls).await.unwrap().call(method::PING, &PingRequest {}).await.unwrap();
    assert_eq!(ping.cluster_name, cluster.name());
}

#[tokio::test]
async fn a_cluster_reports_the_configured_version() {
    let (cluster, _) = start_cluster_of("17.2.1").await;
    let (_, _, body) = get(&cluster, "/webapi/find").await;
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["server_version"], "17.2.1");
}
