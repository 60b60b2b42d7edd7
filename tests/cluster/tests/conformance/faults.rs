//! The faults that tests of an agent can script.

use tbot_cluster::proto::{PingRequest, PingResponse};
use tbot_cluster::{Cluster, ClusterConfig, Code, Outcome, clock, method};

use crate::client::{self, Bot, Grpc, Key, get, join, join_body, post_join};
use crate::fixture::error_message;

/// Starts a cluster with the bot `robot`, and returns its token.
async fn start_cluster() -> (Cluster, String) {
    let cluster = Cluster::start(ClusterConfig::new(clock::system())).await.unwrap();
    let token = cluster.add_bot("robot", &["access"]).unwrap();
    (cluster, token)
}

async fn ping(grpc: &mut Grpc) -> Result<PingResponse, tonic::Status> {
    grpc.call(method::PING, &PingRequest {}).await
}

async fn join_robot() -> (Cluster, Bot, Grpc) {
    let (cluster, token) = start_cluster().await;
    let bot = join(&cluster, &token, Key::p256()).await;
    let grpc = Grpc::connect(&cluster, &bot).await.unwrap();
    (cluster, bot, grpc)
}

#[tokio::test]
async fn a_scripted_failure_affects_one_call_and_changes_nothing() {
    let (cluster, token) = start_cluster().await;
    cluster.fail_next(method::JOIN, Code::ResourceExhausted, "slow down");
    let (status, _, text) = post_join(&cluster, &join_body(&token, &Key::p256())).await;
    assert_eq!(status.as_u16(), 429);
    assert_eq!(error_message(&text), "slow down");
    assert_eq!(cluster.generation("robot"), Some(0));
    let bot = join(&cluster, &token, Key::p256()).await;

    let mut grpc = Grpc::connect(&cluster, &bot).await.unwrap();
    cluster.fail_next(method::PING, Code::Unavailable, "try again");
    cluster.fail_next(method::PING, Code::Internal, "give up");
    for (code, message) in [(Code::Unavailable, "try again"), (Code::Internal, "give up")] {
        let status = ping(&mut grpc).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (code, message));
    }
    ping(&mut grpc).await.unwrap();
    let outcomes: Vec<_> =
        cluster.wait_for(method::PING, 3).await.into_iter().map(|call| call.outcome).collect();
    assert_eq!(outcomes[0], Outcome::Refused(Code::Unavailable, "try again".to_owned()));
    assert_eq!(outcomes[2], Outcome::Succeeded);
}

#[tokio::test]
async fn a_held_call_waits_until_it_is_released() {
    let (cluster, _, mut grpc) = join_robot().await;
    let mut held = cluster.hold_next(method::PING);
    let mut response = std::pin::pin!(ping(&mut grpc));
    tokio::select! {
        early = &mut response => panic!("a held call must not complete: {early:?}"),
        () = held.arrived() => {}
    }
    assert_eq!(cluster.requests().last().unwrap().outcome, Outcome::Pending);
    held.release();
    response.await.unwrap();
}

#[tokio::test]
async fn a_client_that_disconnects_cancels_a_held_call() {
    let (cluster, token) = start_cluster().await;
    let mut held = cluster.hold_next(method::JOIN);
    let body = join_body(&token, &Key::p256());
    tokio::select! {
        _ = post_join(&cluster, &body) => panic!("a held call must not complete"),
        () = held.arrived() => {}
    }
    // The connection was dropped with the future above. If that join still happened, it would consume the token.
    held.abandoned().await;
    held.release();
    join(&cluster, &token, Key::p256()).await;
    assert_eq!(cluster.generation("robot"), Some(1));
}

#[tokio::test]
async fn a_dropped_response_does_not_undo_the_call() {
    let (cluster, bot, mut grpc) = join_robot().await;
    cluster.drop_next_response(method::PING);
    assert_eq!(ping(&mut grpc).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(cluster.requests().last().unwrap().outcome, Outcome::ResponseDropped);
    ping(&mut Grpc::connect(&cluster, &bot).await.unwrap()).await.unwrap();

    let token = cluster.add_bot("unlucky", &["access"]).unwrap();
    cluster.drop_next_response(method::JOIN);
    let request = http::Request::post("/webapi/host/credentials").header("content-type", "application/json");
    let body = join_body(&token, &Key::p256()).to_string().into();
    assert!(client::web(&cluster, request.body(body).unwrap()).await.is_err());
    assert_eq!(cluster.generation("unlucky"), Some(1), "the token has been consumed");
}

#[tokio::test]
async fn a_cluster_that_is_down_accepts_and_keeps_no_connections() {
    let (cluster, bot, mut grpc) = join_robot().await;
    cluster.set_down(true);
    assert!(Grpc::connect(&cluster, &bot).await.is_err());
    assert_eq!(ping(&mut grpc).await.unwrap_err().code(), Code::Unavailable);
    let request = http::Request::get("/webapi/find").body(Default::default()).unwrap();
    assert!(client::web(&cluster, request).await.is_err());
    cluster.set_down(false);
    assert_eq!(get(&cluster, "/webapi/find").await.0, 200);
    ping(&mut Grpc::connect(&cluster, &bot).await.unwrap()).await.unwrap();
}

#[tokio::test]
async fn dropping_a_cluster_closes_its_port_and_its_connections() {
    let (cluster, _, mut grpc) = join_robot().await;
    let addr = cluster.proxy_addr();
    drop(cluster);
    assert_eq!(ping(&mut grpc).await.unwrap_err().code(), Code::Unavailable);
    assert!(tokio::net::TcpStream::connect(addr).await.is_err());
}
