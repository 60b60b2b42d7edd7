//! Rotations: which keys sign, verify and serve in each phase, and what a watcher of authorities is told.

use prost::Message as _;
use tbot_cluster::proto::{Empty, Event, PingResponse, Watch, WatchKind};
use tbot_cluster::{Cluster, ClusterConfig, Phase, clock, method};

use crate::client::{Bot, Grpc, Key, join};

async fn cluster() -> Cluster {
    Cluster::start(ClusterConfig::new(clock::system())).await.unwrap()
}

async fn bot(cluster: &Cluster, name: &str) -> Bot {
    let token = cluster.add_bot(name, &["access"]).unwrap();
    join(cluster, &token, Key::p256()).await
}

/// Whether `bot` gets as far as an answer.
async fn works(cluster: &Cluster, bot: &Bot) -> bool {
    match Grpc::connect(cluster, bot).await {
        Ok(mut grpc) => grpc.call::<PingResponse>(method::PING, &Empty {}).await.is_ok(),
        Err(_) => false,
    }
}

#[tokio::test]
async fn certificates_outlive_a_rotation_only_when_they_follow_it() {
    let cluster = cluster().await;
    let early = bot(&cluster, "early").await;
    for kind in ["host", "user"] {
        cluster.rotate(kind, Phase::Init).unwrap();
        cluster.rotate(kind, Phase::UpdateClients).unwrap();
    }
    let late = bot(&cluster, "late").await;
    assert_eq!(late.certs.tls_ca_certs.len(), 4, "two trusted keys of each");
    assert!(works(&cluster, &early).await && works(&cluster, &late).await);

    cluster.rotate("host", Phase::UpdateServers).unwrap();
    assert!(!works(&cluster, &early).await, "it does not know what servers show now");
    cluster.rotate("user", Phase::UpdateServers).unwrap();
    for kind in ["host", "user"] {
        cluster.rotate(kind, Phase::Standby).unwrap();
    }
    assert!(works(&cluster, &late).await);
    assert_eq!(bot(&cluster, "after").await.certs.tls_ca_certs.len(), 2);
}

#[tokio::test]
async fn a_rollback_brings_the_old_keys_back() {
    let cluster = cluster().await;
    let before = cluster.authority_pem("user");
    cluster.rotate("user", Phase::Init).unwrap();
    cluster.rotate("user", Phase::UpdateClients).unwrap();
    let late = bot(&cluster, "late").await;
    cluster.rotate("user", Phase::Rollback).unwrap();
    assert!(cluster.authority_pem("user").starts_with(&before));
    assert!(works(&cluster, &late).await, "still trusted");
    cluster.rotate("user", Phase::Standby).unwrap();
    assert_eq!(cluster.authority_pem("user"), before);
    assert!(!works(&cluster, &late).await);
}

#[tokio::test]
async fn phases_have_an_order() {
    let cluster = cluster().await;
    assert!(cluster.rotate("user", Phase::Standby).is_err());
    cluster.rotate("user", Phase::Init).unwrap();
    assert!(cluster.rotate("user", Phase::UpdateServers).is_err());
    assert!(cluster.rotate("jwt", Phase::Init).is_err());
}

#[tokio::test]
async fn a_watcher_is_told_of_the_authorities_that_it_filters() {
    let cluster = cluster().await;
    let mut grpc = Grpc::connect(&cluster, &bot(&cluster, "robot").await).await.unwrap();
    let filter = [("user".to_owned(), cluster.name().to_owned()), ("db".to_owned(), "elsewhere".to_owned())];
    let kind = WatchKind { kind: "cert_authority".to_owned(), filter: filter.into(), ..WatchKind::default() };
    let watch = Watch { kinds: vec![kind] }.encode_to_vec();
    let (stream, ()) = tokio::join!(grpc.raw(method::WATCH_EVENTS, &watch), async {
        cluster.wait_for(method::WATCH_EVENTS, 1).await;
        for kind in ["host", "db", "user"] {
            cluster.rotate(kind, Phase::Init).unwrap();
        }
        cluster.end_events();
    });
    let stream = stream.unwrap();
    let first =
        Event { watch_status: Some(tbot_cluster::proto::WatchStatus {}), ..Event::default() }.encode_to_vec();
    let (began, then) = stream.split_at(first.len());
    assert_eq!(began, first);
    let event = Event::decode(&then[5..]).expect("one more message and no other");
    let authority = event.cert_authority.unwrap();
    assert_eq!((event.r#type, authority.sub_kind.as_str()), (1, "user"));
    let spec = authority.spec.unwrap();
    assert_eq!(spec.rotation.unwrap().phase, "init");
    assert_eq!(spec.additional_trusted_keys.unwrap().tls.len(), 1);
}
