//! Certificate authorities: which exist, which of their keys sign, verify and serve in each phase of a rotation, and
//! the events that watchers receive.

use prost::Message as _;
use tbot_cluster::proto::{
    CertAuthorityV2, Event, GetCertAuthoritiesRequest, GetCertAuthoritiesResponse, GetCertAuthorityRequest,
    PingRequest, PingResponse, Watch, WatchKind, WatchStatusV1,
};
use tbot_cluster::{Cluster, ClusterConfig, Code, Error, Phase, clock, method};

use crate::client::{Bot, Grpc, Key, join};
use crate::fixture::{Fixture, refusal};

async fn start_cluster() -> Cluster {
    Cluster::start(ClusterConfig::new(clock::system())).await.unwrap()
}

async fn join_as(cluster: &Cluster, name: &str) -> Bot {
    let token = cluster.add_bot(name, &["access"]).unwrap();
    join(cluster, &token, Key::p256()).await
}

/// Whether `bot` can connect to the auth server and call it.
async fn works(cluster: &Cluster, bot: &Bot) -> bool {
    match Grpc::connect(cluster, bot).await {
        Ok(mut grpc) => grpc.call::<PingResponse>(method::PING, &PingRequest {}).await.is_ok(),
        Err(_) => false,
    }
}

#[tokio::test]
async fn unknown_authorities_and_private_keys_are_refused() {
    let Fixture { cluster: _cluster, mut grpc, .. } = Fixture::new().await;
    let by_kind = |kind: &str| GetCertAuthoritiesRequest { r#type: kind.to_owned(), include_key: false };
    let with_key = GetCertAuthoritiesRequest { include_key: true, ..by_kind("user") };
    for (request, code) in [
        (by_kind("nonsense"), Code::InvalidArgument),
        (by_kind("jwt"), Code::Unimplemented),
        (with_key, Code::PermissionDenied),
    ] {
        let response = grpc.call::<GetCertAuthoritiesResponse>(method::GET_CERT_AUTHORITIES, &request).await;
        assert_eq!(refusal(response).code, code, "{request:?}");
    }
    let elsewhere = GetCertAuthorityRequest {
        r#type: "host".to_owned(),
        domain: "elsewhere".to_owned(),
        include_key: false,
    };
    let response = grpc.call::<CertAuthorityV2>(method::GET_CERT_AUTHORITY, &elsewhere).await;
    assert_eq!(refusal(response).code, Code::NotFound);
}

#[tokio::test]
async fn certificates_work_after_a_rotation_only_if_reissued_during_it() {
    let cluster = start_cluster().await;
    let early = join_as(&cluster, "early").await;
    for kind in ["host", "user"] {
        cluster.rotate(kind, Phase::Init).unwrap();
        cluster.rotate(kind, Phase::UpdateClients).unwrap();
    }
    let late = join_as(&cluster, "late").await;
    assert_eq!(late.certs.tls_ca_certs.len(), 4, "two trusted keys per authority");
    assert!(works(&cluster, &early).await && works(&cluster, &late).await);

    cluster.rotate("host", Phase::UpdateServers).unwrap();
    assert!(!works(&cluster, &early).await, "the bot does not trust the new server certificates");
    cluster.rotate("user", Phase::UpdateServers).unwrap();
    for kind in ["host", "user"] {
        cluster.rotate(kind, Phase::Standby).unwrap();
    }
    assert!(works(&cluster, &late).await);
    assert_eq!(join_as(&cluster, "after").await.certs.tls_ca_certs.len(), 2);
}

#[tokio::test]
async fn a_rollback_restores_the_old_keys() {
    let cluster = start_cluster().await;
    let before = cluster.authority_pem("user");
    cluster.rotate("user", Phase::Init).unwrap();
    cluster.rotate("user", Phase::UpdateClients).unwrap();
    let late = join_as(&cluster, "late").await;
    cluster.rotate("user", Phase::Rollback).unwrap();
    assert!(cluster.authority_pem("user").starts_with(&before));
    assert!(works(&cluster, &late).await, "the new key is still trusted");
    cluster.rotate("user", Phase::Standby).unwrap();
    assert_eq!(cluster.authority_pem("user"), before);
    assert!(!works(&cluster, &late).await);
}

#[tokio::test]
async fn phases_must_follow_each_other() {
    let cluster = start_cluster().await;
    assert!(matches!(
        cluster.rotate("user", Phase::Standby),
        Err(Error::InvalidPhase { from: None, to: Phase::Standby })
    ));
    cluster.rotate("user", Phase::Init).unwrap();
    assert!(matches!(
        cluster.rotate("user", Phase::UpdateServers),
        Err(Error::InvalidPhase { from: Some(Phase::Init), to: Phase::UpdateServers })
    ));
    assert!(matches!(cluster.rotate("jwt", Phase::Init), Err(Error::AuthorityNotFound(_))));
}

#[tokio::test]
async fn a_watcher_receives_only_the_authorities_that_match_its_filter() {
    let cluster = start_cluster().await;
    let mut grpc = Grpc::connect(&cluster, &join_as(&cluster, "robot").await).await.unwrap();
    let filter = [("user".to_owned(), cluster.name().to_owned()), ("db".to_owned(), "elsewhere".to_owned())];
    let kind = WatchKind { kind: "cert_authority".to_owned(), filter: filter.into(), ..WatchKind::default() };
    let watch = Watch { kinds: vec![kind] }.encode_to_vec();
    let (stream, ()) = tokio::join!(grpc.raw(method::WATCH_EVENTS, &watch), async {
        cluster.wait_for(method::WATCH_EVENTS, 1).await;
        for kind in ["host", "db", "user"] {
            cluster.rotate(kind, Phase::Init).unwrap();
        }
        cluster.end_event_streams();
    });
    let stream = stream.unwrap();
    let begun = Event { watch_status: Some(WatchStatusV1 {}), ..Event::default() }.encode_to_vec();
    let (first, rest) = stream.split_at(begun.len());
    assert_eq!(first, begun);
    let event = Event::decode(&rest[5..]).expect("the stream must contain exactly one more message");
    let authority = event.cert_authority.unwrap();
    assert_eq!((event.r#type, authority.sub_kind.as_str()), (1, "user"));
    let spec = authority.spec.unwrap();
    assert_eq!(spec.rotation.unwrap().phase, "init");
    assert_eq!(spec.additional_trusted_keys.unwrap().tls.len(), 1);
}
