//! Replays the recorded agent's calls against the development cluster with real TLS. The responses must match the recorded
//! ones in their fields, certificates, authorities, refusals and JSON.

use std::collections::BTreeMap;

use prost::Message as _;
use serde_json::Value;
use tbot_cluster::proto::{Certs, UserCertsRequest};
use tbot_cluster::{Clock, Cluster, ClusterConfig, Outcome, Resource, method};

use crate::certificates::{authorities, ssh, ssh_signers, x509};
use crate::client::{self, Bot, Grpc, Key};
use crate::fixture::{self, HOUR, frozen_clock};
use crate::message_tree::MessageTree;
use crate::messages::response_fields;
use crate::recording::{self, calls};

/// Starts a cluster with the resources and the bot of the recorded one, and returns the bot's token.
async fn recorded_cluster(clock: Clock) -> (Cluster, String) {
    let config = ClusterConfig::new(clock);
    let cluster = Cluster::start(config).await.unwrap();
    let from_file = |resource: Resource| resource.with_label("teleport.dev/origin", "config-file");
    cluster.add_resource(from_file(Resource::application("dumper", "dumper.127.0.0.1")));
    cluster.add_resource(from_file(Resource::database("pg", "postgres")));
    cluster.add_resource(Resource::kubernetes("dev-kube"));
    let token = cluster.add_bot("robot3", &["robo"]).unwrap();
    (cluster, token)
}

/// Asserts that the certificates of a response match the recorded ones, except for keys and times.
fn assert_certs_match(what: &str, recorded: &Certs, ours: &Certs) {
    assert_eq!(x509(&ours.tls), x509(&recorded.tls), "{what}: X.509");
    assert_eq!(ssh(&ours.ssh), ssh(&recorded.ssh), "{what}: SSH");
    assert_eq!(authorities(ours), authorities(recorded), "{what}: authorities");
    assert_eq!(ssh_signers(ours), ssh_signers(recorded), "{what}: SSH authorities");
}

/// Replays the join, the calls of the first start, the renewal and the calls of the second start.
#[tokio::test]
async fn responses_match_the_recorded_starts() {
    let clock = frozen_clock();
    let (cluster, token) = recorded_cluster(clock.clone()).await;
    let recorded = recording::certs();

    let first = calls("first-join.json");
    let mut body = first[0].request.clone();
    body["token"] = token.into();
    let expires = jiff::Timestamp::try_from(clock() + HOUR).unwrap();
    body["expires"] = expires.to_string().into();
    let (status, headers, text) = client::post_join(&cluster, &body).await;
    assert_eq!(status, 200, "{text}");
    assert_eq!(headers["content-type"], "application/json");
    let response: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(shape(&response), shape(&first[0].response), "join");
    // The recorded public key was sent, so the recorded private key belongs to the certificates.
    let mut bot = Bot { key: Key::recorded_rsa(), certs: recording::join_certs(&response) };
    assert_certs_match("join", &recorded.joined, &bot.certs);
    assert_eq!(cluster.generation("robot3"), Some(1));

    replay(&cluster, &clock, &mut bot, "first-join.json").await;
    assert_eq!(cluster.generation("robot3"), Some(1), "outputs do not change the generation");
    replay(&cluster, &clock, &mut bot, "restart-renewal.json").await;
    assert_eq!(cluster.generation("robot3"), Some(2), "a renewal increments the generation");
    for call in cluster.requests() {
        assert_eq!(call.outcome, Outcome::Succeeded, "{} {}", call.method, call.summary);
    }
}

/// Replays the gRPC calls of one start. After a renewal, the bot uses its new certificates.
async fn replay(cluster: &Cluster, clock: &Clock, bot: &mut Bot, name: &str) {
    let recorded = recording::certs();
    let mut grpc = Grpc::connect(cluster, bot).await.unwrap();
    let (key, now) = (Key::p256(), clock());
    let request = fixture::output_request("bot-robot3", "robo", &key, now);
    let output = fixture::impersonate(cluster, bot, key, &request).await;
    let mut output_grpc = Grpc::connect(cluster, &output).await.unwrap();
    for call in calls(name).iter().filter(|call| !call.method.starts_with("POST ")) {
        let mut message = call.request_bytes();
        if call.method == method::GENERATE_USER_CERTS {
            // The recorded expiry has passed.
            let mut request = UserCertsRequest::decode(message.as_slice()).unwrap();
            request.expires = Some((clock() + HOUR).into());
            message = request.encode_to_vec();
        }
        // Only impersonated roles can list resources, not the bot's own role.
        let needs_role = [method::LIST_RESOURCES, method::CREATE_APP_SESSION].contains(&call.method.as_str());
        let grpc_of_call = if needs_role { &mut output_grpc } else { &mut grpc };
        let response = grpc_of_call.raw(&call.method, &message).await.unwrap();
        let fields = response_fields(&call.method);
        let undeclared = fields.undeclared.iter().map(|path| (*path).to_owned()).collect();
        let recorded_paths =
            MessageTree::parse(&call.response_bytes(), fields.messages).without(&undeclared).paths();
        assert_eq!(MessageTree::parse(&response, fields.messages).paths(), recorded_paths, "{}", call.method);
        if call.method == method::GENERATE_USER_CERTS {
            let certs = Certs::decode(response).unwrap();
            if UserCertsRequest::decode(message.as_slice()).unwrap().use_role_requests {
                assert_certs_match(
                    "output",
                    &Certs::decode(call.response_bytes().as_slice()).unwrap(),
                    &certs,
                );
            } else {
                assert_certs_match("renewal", &recorded.renewed, &certs);
                bot.certs = certs;
                grpc = Grpc::connect(cluster, bot).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_refused_join_gets_the_recorded_response() {
    let (cluster, _) = recorded_cluster(frozen_clock()).await;
    let mut body = calls("first-join.json")[0].request.clone();
    body["token"] = "5ca1ab1e".into();
    let (status, headers, text) = client::post_join(&cluster, &body).await;
    let content_type = headers["content-type"].to_str().unwrap();
    let ours = format!("HTTP {}, {content_type}\n{text}", status.as_u16());
    assert_eq!(ours, recording::text("join-refused.http"));
}

#[tokio::test]
async fn discovery_has_the_recorded_shape() {
    let (cluster, _) = recorded_cluster(frozen_clock()).await;
    for (name, path) in [("webapi-find.json", "/webapi/find"), ("webapi-ping.json", "/webapi/ping")] {
        let recorded = recording::json(name);
        for path in [path.to_owned(), format!("/v1{path}")] {
            let (status, _, text) = client::get(&cluster, &path).await;
            assert_eq!(status, 200, "{path}");
            let ours: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(shape(&ours), shape(&recorded), "{path}");
            let with_recorded_port = text.replace(&cluster.proxy_addr().to_string(), "127.0.0.1:4080");
            assert_eq!(
                serde_json::from_str::<Value>(&with_recorded_port).unwrap(),
                recorded,
                "{path}: everything except the port"
            );
        }
    }
}

/// Returns the JSON pointer and type of every value in `value`.
fn shape(value: &Value) -> BTreeMap<String, &'static str> {
    fn walk(pointer: String, value: &Value, shape: &mut BTreeMap<String, &'static str>) {
        let json_type = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    walk(format!("{pointer}/{index}"), item, shape);
                }
                "array"
            }
            Value::Object(members) => {
                for (key, member) in members {
                    walk(format!("{pointer}/{key}"), member, shape);
                }
                "object"
            }
        };
        shape.insert(pointer, json_type);
    }
    let mut shape = BTreeMap::new();
    walk(String::new(), value, &mut shape);
    shape
}
