//! The faults that tests of an agent script.

use tbot_cluster::proto::{Empty, PingResponse};
use tbot_cluster::{Cluster, ClusterConfig, Code, Outcome, clock, method};

use crate::client::{Bot, Grpc, Key, get, join, join_body, post_join};

async fn cluster() -> (Cluster, String) {
    let cluster = Cluster::start(ClusterConfig::new(clock::system())).await.unwrap();
    let token = cluster.add_bot("robot", &["access"]).unwrap();
    (cluster, token)
}

async fn ping(grpc: &mut Grpc) -> Result<PingResponse, tonic::Status> {
    grpc.call(method::PING, &Empty {}).await
}

async fn joined() -> (Cluster, Bot, Grpc) {
    let (cluster, token) = cluster().await;
    let bot = join(&cluster, &token, Key::p256()).await;
    let grpc = Grpc::connect(&cluster, &bot).await.unwrap();
    (cluster, bot, grpc)
}

#[tokio::test]
async fn a_failure_is_for_one_call_and_changes_nothing() {
    let (cluster, token) = cluster().await;
    cluster.fail_next(method::JOIN, Code::ResourceExhausted, "slow down");
    let (status, _, text) = post_join(&cluster, &join_body(&token, &Key::p256())).await;
    assert_eq!(status.as_u16(), 429);
    assert!(text.contains("slow down"), "{text}");
    assert_eq!(cluster.generation("robot"), Some(0));
    let bot = join(&cluster, &token, Key::p256()).await;

    let mut grpc = Grpc::connect(&cluster, &bot).await.unwrap();
    cluster.fail_next(method::PING, Code::Unavailable, "try again");
    cluster.fail_next(method::PING, Code::Internal, "try no more");
    for (code, words) in [(Code::Unavailable, "try again"), (Code::Internal, "try no more")] {
        let status = ping(&mut grpc).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (code, words));
    }
    ping(&mut grpc).await.unwrap();
    let outcomes: Vec<_> =
        cluster.wait_for(method::PING, 3).await.into_iter().map(|call| call.outcome).collect();
    assert_eq!(outcomes[0], Outcome::Refused(Code::Unavailable, "try again".to_owned()));
    assert_eq!(outcomes[2], Outcome::Answered);
}

#[tokio::test]
async fn a_held_call_waits_until_it_is_let_go() {
    let (cluster, _, mut grpc) = joined().await;
    let mut hold = cluster.hold_next(method::PING);
    let mut answer = std::pin::pin!(ping(&mut grpc));
    tokio::select! {
        early = &mut answer => panic!("a held call is not answered: {early:?}"),
        () = hold.arrived() => {}
    }
    assert_eq!(cluster.requests().last().unwrap().outcome, Outcome::Pending);
    hold.release();
    answer.await.unwrap();
}

#[tokio::test]
async fn a_caller_that_hangs_up_takes_a_held_call_back() {
    let (cluster, token) = cluster().await;
    let mut hold = cluster.hold_next(method::JOIN);
    let body = join_body(&token, &Key::p256());
    tokio::select! {
        _ = post_join(&cluster, &body) => panic!("a held call is not answered"),
        () = hold.arrived() => {}
    }
    // The connection went with the future above; a late join would use up the token that is needed here.
    hold.abandoned().await;
    hold.release();
    join(&cluster, &token, Key::p256()).await;
    assert_eq!(cluster.generation("robot"), Some(1));
}

#[tokio::test]
async fn a_lost_reply_is_lost_after_the_fact() {
    let (cluster, bot, mut grpc) = joined().await;
    cluster.drop_reply(method::PING);
    assert_eq!(ping(&mut grpc).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(cluster.requests().last().unwrap().outcome, Outcome::ReplyLost);
    ping(&mut Grpc::connect(&cluster, &bot).await.unwrap()).await.unwrap();

    let token = cluster.add_bot("unlucky", &["access"]).unwrap();
    cluster.drop_reply(method::JOIN);
    let request = http::Request::post("/webapi/host/credentials").header("content-type", "application/json");
    let body = join_body(&token, &Key::p256()).to_string().into();
    assert!(crate::client::web(&cluster, request.body(body).unwrap()).await.is_err());
    assert_eq!(cluster.generation("unlucky"), Some(1), "the token is used up all the same");
}

#[tokio::test]
async fn a_cluster_that_is_down_takes_no_connection_and_keeps_none() {
    let (cluster, bot, mut grpc) = joined().await;
    cluster.set_down(true);
    assert!(Grpc::connect(&cluster, &bot).await.is_err());
    assert_eq!(ping(&mut grpc).await.unwrap_err().code(), Code::Unavailable);
    let request = http::Request::get("/webapi/find").body(Default::default()).unwrap();
    assert!(crate::client::web(&cluster, request).await.is_err());
    cluster.set_down(false);
    assert_eq!(get(&cluster, "/webapi/find").await.0, 200);
    ping(&mut Grpc::connect(&cluster, &bot).await.unwrap()).await.unwrap();
}

#[tokio::test]
async fn dropping_a_cluster_closes_its_port_and_its_connections() {
    let (cluster, _, mut grpc) = joined().await;
    let addr = cluster.proxy_addr();
    drop(cluster);
    assert_eq!(ping(&mut grpc).await.unwrap_err().code(), Code::Unavailable);
    assert!(tokio::net::TcpStream::connect(addr).await.is_err());
}
