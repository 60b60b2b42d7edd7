//! The agent's recorded calls, made again against our cluster with real TLS. The answers must be of the same make:
//! fields, certificates, authorities, refusals, JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use prost::Message as _;
use serde_json::Value;
use tbot_cluster::proto::{Certs, UserCertsRequest};
use tbot_cluster::{Clock, Cluster, ClusterConfig, Outcome, Resource, method};

use crate::certificates::{authorities, ssh, ssh_signers, x509};
use crate::client::{self, Bot, Grpc, Key};
use crate::messages::known_reply;
use crate::recording::{self, calls};
use crate::wire::Tree;

/// What the recorded agent asks for.
const HOUR: Duration = Duration::from_secs(60 * 60);

/// A cluster like the recorded one.
async fn like_the_recorded(clock: Clock) -> (Cluster, String) {
    let config = ClusterConfig::new(clock);
    let cluster = Cluster::start(config).await.unwrap();
    let from_file = |resource: Resource| resource.with_label("teleport.dev/origin", "config-file");
    cluster.add_resource(from_file(Resource::application("dumper", "dumper.127.0.0.1")));
    cluster.add_resource(from_file(Resource::database("pg", "postgres")));
    cluster.add_resource(Resource::kubernetes("dev-kube"));
    let token = cluster.add_bot("robot3", &["robo"]).unwrap();
    (cluster, token)
}

/// `ours` must be what the recorded reply is, keys and times aside.
fn same_certs(what: &str, recorded: &Certs, ours: &Certs) {
    assert_eq!(x509(&ours.tls), x509(&recorded.tls), "{what}: X.509");
    assert_eq!(ssh(&ours.ssh), ssh(&recorded.ssh), "{what}: SSH");
    assert_eq!(authorities(ours), authorities(recorded), "{what}: authorities");
    assert_eq!(ssh_signers(ours), ssh_signers(recorded), "{what}: SSH authorities");
}

/// Everything of the recorded agent, in its order: join, calls of the first start, renewal, calls of the second.
#[tokio::test]
async fn the_recorded_starts_get_answers_of_the_same_make() {
    let clock = client::frozen_clock();
    let (cluster, token) = like_the_recorded(clock.clone()).await;
    let recorded = recording::certs();

    let first = calls("first-join.json");
    let mut body = first[0].request.clone();
    body["token"] = token.into();
    let expires = jiff::Timestamp::try_from(clock() + HOUR).unwrap();
    body["expires"] = expires.to_string().into();
    let (status, headers, text) = client::post_join(&cluster, &body).await;
    assert_eq!(status, 200, "{text}");
    assert_eq!(headers["content-type"], "application/json");
    let reply: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(shape(&reply), shape(&first[0].response), "join");
    // The recorded key joined, so the recorded private key holds the certificates.
    let mut bot = Bot { key: Key::recorded_rsa(), certs: recording::join_certs(&reply) };
    same_certs("join", &recorded.joined, &bot.certs);
    assert_eq!(cluster.generation("robot3"), Some(1));

    replay(&cluster, &clock, &mut bot, "first-join.json").await;
    assert_eq!(cluster.generation("robot3"), Some(1), "outputs do not count");
    replay(&cluster, &clock, &mut bot, "restart-renewal.json").await;
    assert_eq!(cluster.generation("robot3"), Some(2), "a renewal counts once");
    for call in cluster.requests() {
        assert_eq!(call.outcome, Outcome::Answered, "{} {}", call.method, call.summary);
    }
}

/// Makes the gRPC calls of one start, and takes on the certificates of a renewal.
async fn replay(cluster: &Cluster, clock: &Clock, bot: &mut Bot, name: &str) {
    let recorded = recording::certs();
    let mut grpc = Grpc::connect(cluster, bot).await.unwrap();
    let mut acting = acting(cluster, clock, bot).await;
    for call in calls(name).iter().filter(|call| !call.method.starts_with("POST ")) {
        let mut message = call.request_bytes();
        if call.method == method::GENERATE_USER_CERTS {
            // The recorded end has passed.
            let mut request = UserCertsRequest::decode(message.as_slice()).unwrap();
            request.expires = Some((clock() + HOUR).into());
            message = request.encode_to_vec();
        }
        // Resources show themselves to the roles that the bot takes on, not to the bot.
        let of_role = [method::LIST_RESOURCES, method::CREATE_APP_SESSION].contains(&call.method.as_str());
        let grpc_of_call = if of_role { &mut acting } else { &mut grpc };
        let reply = grpc_of_call.raw(&call.method, &message).await.unwrap();
        let known = known_reply(&call.method);
        let undeclared = known.undeclared.iter().map(|path| (*path).to_owned()).collect();
        let theirs = Tree::parse(&call.response_bytes(), known.messages).without(&undeclared).paths();
        assert_eq!(Tree::parse(&reply, known.messages).paths(), theirs, "{}", call.method);
        if call.method == method::GENERATE_USER_CERTS {
            let certs = Certs::decode(reply).unwrap();
            if UserCertsRequest::decode(message.as_slice()).unwrap().use_role_requests {
                same_certs("output", &Certs::decode(call.response_bytes().as_slice()).unwrap(), &certs);
            } else {
                same_certs("renewal", &recorded.renewed, &certs);
                bot.certs = certs;
                grpc = Grpc::connect(cluster, bot).await.unwrap();
            }
        }
    }
}

/// A connection as the bot acting with its roles.
async fn acting(cluster: &Cluster, clock: &Clock, bot: &Bot) -> Grpc {
    let key = Key::p256();
    let request = UserCertsRequest {
        public_key: key.line.clone().into(),
        username: "bot-robot3".to_owned(),
        expires: Some((clock() + HOUR).into()),
        role_requests: vec!["robo".to_owned()],
        use_role_requests: true,
        ..UserCertsRequest::default()
    };
    let mut certs = Grpc::connect(cluster, bot).await.unwrap().user_certs(&request).await.unwrap();
    // Only the bot's own reply says whom to trust.
    certs.tls_ca_certs.clone_from(&bot.certs.tls_ca_certs);
    Grpc::connect(cluster, &Bot { key, certs }).await.unwrap()
}

#[tokio::test]
async fn a_refused_join_is_refused_in_the_recorded_words() {
    let (cluster, _) = like_the_recorded(client::frozen_clock()).await;
    let mut body = calls("first-join.json")[0].request.clone();
    body["token"] = "5ca1ab1e".into();
    let (status, headers, text) = client::post_join(&cluster, &body).await;
    let content_type = headers["content-type"].to_str().unwrap();
    let ours = format!("HTTP {}, {content_type}\n{text}", status.as_u16());
    assert_eq!(ours, recording::text("join-refused.http"));
}

#[tokio::test]
async fn discovery_has_the_recorded_shape() {
    let (cluster, _) = like_the_recorded(client::frozen_clock()).await;
    for (name, path) in [("webapi-find.json", "/webapi/find"), ("webapi-ping.json", "/webapi/ping")] {
        let recorded = recording::json(name);
        for path in [path.to_owned(), format!("/v1{path}")] {
            let (status, _, text) = client::get(&cluster, &path).await;
            assert_eq!(status, 200, "{path}");
            let ours: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(shape(&ours), shape(&recorded), "{path}");
            let moved = text.replace(&cluster.proxy_addr().to_string(), "127.0.0.1:4080");
            assert_eq!(serde_json::from_str::<Value>(&moved).unwrap(), recorded, "{path}: all but the port");
        }
    }
}

/// The JSON pointer of everything in a value, with its type. Strings in lists stand for their number.
fn shape(value: &Value) -> BTreeMap<String, &'static str> {
    fn walk(at: String, value: &Value, shape: &mut BTreeMap<String, &'static str>) {
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    walk(format!("{at}/{index}"), item, shape);
                }
                "array"
            }
            Value::Object(members) => {
                for (key, member) in members {
                    walk(format!("{at}/{key}"), member, shape);
                }
                "object"
            }
        };
        shape.insert(at, kind);
    }
    let mut shape = BTreeMap::new();
    walk(String::new(), value, &mut shape);
    shape
}
