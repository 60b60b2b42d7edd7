//! Compares the messages and fields that were not recorded with bytes that are written by hand here. The agent and the
//! cluster share their declarations, so no other test finds a wrong field number in them.

use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};
use prost_types::{Duration, Timestamp};
use tbot_cluster::proto::{
    CaKeySet, CertAuthoritySpecV2, CertAuthorityV2, Certs, Credential, Event, GenerateHostCertRequest,
    GenerateHostCertResponse, GetAppSessionRequest, GetAppSessionResponse, IssueWorkloadIdentitiesRequest,
    IssueWorkloadIdentitiesResponse, IssueWorkloadIdentityRequest, IssueWorkloadIdentityResponse, JwtKeyPair,
    JwtSvidCredential, JwtSvidParams, LabelSelector, ListRemoteClustersRequest, ListRemoteClustersResponse,
    ListSpiffeFederationsRequest, ListSpiffeFederationsResponse, Metadata, Operation,
    RegisterUsingAzureMethodRequest, RegisterUsingAzureMethodResponse, RegisterUsingIamMethodRequest,
    RegisterUsingIamMethodResponse, RegisterUsingTokenRequest, RemoteClusterV3, Rotation, SpiffeFederation,
    SpiffeFederationStatus, StreamSignedCrlRequest, StreamSignedCrlResponse, UserCertsRequest, Watch,
    WatchKind, WatchStatusV1, WebSessionV2, X509SvidCredential, X509SvidParams, header,
    join_v1::{self, join_request},
    transport_v1,
};

/// Encodes a string, bytes or a message, whose fields are joined.
fn bytes<T: AsRef<[u8]>>(number: u32, content: T) -> Vec<u8> {
    let mut field = Vec::new();
    encode_key(number, WireType::LengthDelimited, &mut field);
    encode_varint(content.as_ref().len() as u64, &mut field);
    field.extend(content.as_ref());
    field
}

/// Encodes a boolean, an integer or a value of an enum.
fn varint(number: u32, value: u64) -> Vec<u8> {
    let mut field = Vec::new();
    encode_key(number, WireType::Varint, &mut field);
    encode_varint(value, &mut field);
    field
}

/// Encodes a message with these fields.
fn message(number: u32, fields: &[Vec<u8>]) -> Vec<u8> {
    bytes(number, fields.concat())
}

#[track_caller]
fn assert_encoding(message: &impl Message, fields: &[Vec<u8>]) {
    assert_eq!(message.encode_to_vec(), fields.concat());
}

fn text(value: &str) -> String {
    value.to_owned()
}

fn named(name: &str) -> Option<Metadata> {
    Some(Metadata { name: text(name), ..Metadata::default() })
}

#[test]
fn join_messages_are_encoded_as_documented() {
    let common = RegisterUsingTokenRequest {
        host_id: text("host"),
        node_name: text("node"),
        role: text("Bot"),
        token: text("token"),
        additional_principals: vec![text("principal")],
        dns_names: vec![text("dns")],
        public_tls_key: b"tls".to_vec(),
        public_ssh_key: b"ssh".to_vec(),
        remote_addr: text("addr"),
        ec2_identity_document: b"document".to_vec(),
        id_token: text("jwt"),
        expires: Some(Timestamp { seconds: 7, nanos: 0 }),
    };
    let common_fields = message(
        1,
        &[
            bytes(1, "host"),
            bytes(2, "node"),
            bytes(3, "Bot"),
            bytes(4, "token"),
            bytes(5, "principal"),
            bytes(6, "dns"),
            bytes(7, "tls"),
            bytes(8, "ssh"),
            bytes(9, "addr"),
            bytes(10, "document"),
            bytes(11, "jwt"),
            bytes(12, varint(1, 7)),
        ],
    );
    let iam = RegisterUsingIamMethodRequest {
        register_using_token_request: Some(common.clone()),
        sts_identity_request: b"sts".to_vec(),
    };
    assert_encoding(&iam, &[common_fields.clone(), bytes(2, "sts")]);
    let azure = RegisterUsingAzureMethodRequest {
        register_using_token_request: Some(common),
        attested_data: b"attested".to_vec(),
        access_token: text("access"),
    };
    assert_encoding(&azure, &[common_fields, bytes(2, "attested"), bytes(3, "access")]);

    let certs = Some(Certs { tls: b"tls".to_vec(), ..Certs::default() });
    let fields = [bytes(1, "challenge"), message(2, &[bytes(2, "tls")])];
    let response = RegisterUsingIamMethodResponse { challenge: text("challenge"), certs: certs.clone() };
    assert_encoding(&response, &fields);
    assert_encoding(&RegisterUsingAzureMethodResponse { challenge: text("challenge"), certs }, &fields);
}

fn to_server(payload: join_request::Payload) -> join_v1::JoinRequest {
    join_v1::JoinRequest { payload: Some(payload) }
}

#[test]
fn messages_of_a_client_that_joins_are_encoded_as_documented() {
    use join_request::Payload;
    let public_keys =
        Some(join_v1::PublicKeys { public_tls_key: b"tls".to_vec(), public_ssh_key: b"ssh".to_vec() });
    let expires = Some(Timestamp { seconds: 7, nanos: 0 });
    let bot = join_v1::BotParams { public_keys, expires };
    let params = join_v1::ClientParams { payload: Some(join_v1::client_params::Payload::BotParams(bot)) };
    let client_params = Some(params);
    let keys = message(1, &[bytes(1, "tls"), bytes(2, "ssh")]);
    let params = message(1, &[message(2, &[keys, message(2, &[varint(1, 7)])])]);

    let init = join_v1::ClientInit {
        join_method: Some(text("iam")),
        token_name: text("token"),
        system_role: text("Bot"),
    };
    let fields = [bytes(1, "iam"), bytes(2, "token"), bytes(3, "Bot")];
    assert_encoding(&to_server(Payload::ClientInit(init)), &[message(1, &fields)]);
    let init = join_v1::TokenInit { client_params: client_params.clone() };
    assert_encoding(&to_server(Payload::TokenInit(init)), &[message(2, std::slice::from_ref(&params))]);
    let init = join_v1::BoundKeypairInit {
        client_params: client_params.clone(),
        initial_join_secret: text("secret"),
        previous_join_state: b"state".to_vec(),
    };
    let fields = [params.clone(), bytes(2, "secret"), bytes(3, "state")];
    assert_encoding(&to_server(Payload::BoundKeypairInit(init)), &[message(3, &fields)]);
    let init = join_v1::IamInit { client_params: client_params.clone() };
    assert_encoding(&to_server(Payload::IamInit(init)), &[message(5, std::slice::from_ref(&params))]);
    let giving_up = join_v1::GivingUp {
        reason: join_v1::GivingUpReason::ChallengeSolutionFailed.into(),
        msg: text("why"),
    };
    assert_encoding(
        &to_server(Payload::GivingUp(giving_up)),
        &[message(6, &[varint(1, 3), bytes(2, "why")])],
    );
    let init = join_v1::OidcInit { client_params: client_params.clone(), id_token: b"jwt".to_vec() };
    assert_encoding(&to_server(Payload::OidcInit(init)), &[message(8, &[params.clone(), bytes(2, "jwt")])]);
    let init = join_v1::AzureInit { client_params };
    assert_encoding(&to_server(Payload::AzureInit(init)), &[message(11, &[params])]);
}

#[test]
fn solutions_of_challenges_are_encoded_as_documented() {
    use join_v1::challenge_solution::Payload;
    let solution = |payload| {
        let solution = join_v1::ChallengeSolution { payload: Some(payload) };
        to_server(join_request::Payload::Solution(solution))
    };
    let signed = join_v1::BoundKeypairChallengeSolution { solution: b"jws".to_vec() };
    let fields = [message(4, &[message(1, &[bytes(1, "jws")])])];
    assert_encoding(&solution(Payload::BoundKeypairChallengeSolution(signed)), &fields);
    let rotated = join_v1::BoundKeypairRotationResponse { public_key: b"key".to_vec() };
    let fields = [message(4, &[message(2, &[bytes(1, "key")])])];
    assert_encoding(&solution(Payload::BoundKeypairRotationResponse(rotated)), &fields);
    let signed = join_v1::IamChallengeSolution { sts_identity_request: b"sts".to_vec() };
    let fields = [message(4, &[message(3, &[bytes(1, "sts")])])];
    assert_encoding(&solution(Payload::IamChallengeSolution(signed)), &fields);
    let attested = join_v1::AzureChallengeSolution {
        attested_data: b"document".to_vec(),
        intermediate: b"chain".to_vec(),
        access_token: text("access"),
    };
    let fields = [bytes(1, "document"), bytes(2, "chain"), bytes(3, "access")];
    let fields = [message(4, &[message(6, &fields)])];
    assert_encoding(&solution(Payload::AzureChallengeSolution(attested)), &fields);
}

#[test]
fn messages_of_a_server_that_lets_a_bot_join_are_encoded_as_documented() {
    use join_v1::challenge::Payload as Challenge;
    use join_v1::join_response::Payload;
    let from_server = |payload| join_v1::JoinResponse { payload: Some(payload) };
    let challenge = |payload| {
        let challenge = join_v1::Challenge { payload: Some(payload) };
        from_server(Payload::Challenge(challenge))
    };
    let init = join_v1::ServerInit { join_method: text("iam"), signature_algorithm_suite: text("suite") };
    assert_encoding(&from_server(Payload::Init(init)), &[message(1, &[bytes(1, "iam"), bytes(2, "suite")])]);
    let sign = join_v1::BoundKeypairChallenge { public_key: b"key".to_vec(), challenge: text("text") };
    let fields = [message(2, &[message(1, &[bytes(1, "key"), bytes(2, "text")])])];
    assert_encoding(&challenge(Challenge::BoundKeypairChallenge(sign)), &fields);
    let rotate = join_v1::BoundKeypairRotationRequest { signature_algorithm_suite: text("suite") };
    let fields = [message(2, &[message(2, &[bytes(1, "suite")])])];
    assert_encoding(&challenge(Challenge::BoundKeypairRotationRequest(rotate)), &fields);
    let iam = join_v1::IamChallenge { challenge: text("text") };
    assert_encoding(
        &challenge(Challenge::IamChallenge(iam)),
        &[message(2, &[message(3, &[bytes(1, "text")])])],
    );
    let azure = join_v1::AzureChallenge { challenge: text("text") };
    assert_encoding(
        &challenge(Challenge::AzureChallenge(azure)),
        &[message(2, &[message(6, &[bytes(1, "text")])])],
    );

    let bot = join_v1::BotResult {
        certificates: Some(join_v1::Certificates {
            tls_cert: b"tls".to_vec(),
            tls_ca_certs: vec![b"tls-ca".to_vec()],
            ssh_cert: b"ssh".to_vec(),
            ssh_ca_keys: vec![b"ssh-ca".to_vec()],
        }),
        bound_keypair_result: Some(join_v1::BoundKeypairResult {
            join_state: b"state".to_vec(),
            public_key: b"key".to_vec(),
        }),
    };
    let result = join_v1::Result { payload: Some(join_v1::result::Payload::BotResult(bot)) };
    let certificates =
        message(1, &[bytes(1, "tls"), bytes(2, "tls-ca"), bytes(3, "ssh"), bytes(4, "ssh-ca")]);
    let bound = message(2, &[bytes(1, "state"), bytes(2, "key")]);
    assert_encoding(
        &from_server(Payload::Result(result)),
        &[message(3, &[message(2, &[certificates, bound])])],
    );
}

#[test]
fn fields_for_newer_servers_and_for_rotations_are_encoded_as_documented() {
    let request = UserCertsRequest {
        ssh_public_key: b"ssh".to_vec(),
        tls_public_key: b"tls".to_vec(),
        reissuable_role_impersonation: true,
        ..UserCertsRequest::default()
    };
    assert_encoding(&request, &[bytes(22, "ssh"), bytes(23, "tls"), varint(27, 1)]);
    let spec = CertAuthoritySpecV2 {
        rotation: Some(Rotation { state: text("state"), phase: text("phase"), mode: text("mode") }),
        active_keys: Some(CaKeySet {
            jwt: vec![JwtKeyPair { public_key: b"jwt".to_vec() }],
            ..CaKeySet::default()
        }),
        ..CertAuthoritySpecV2::default()
    };
    let rotation = message(8, &[bytes(1, "state"), bytes(2, "phase"), bytes(3, "mode")]);
    assert_encoding(&spec, &[rotation, message(11, &[message(3, &[bytes(1, "jwt")])])]);
}

#[test]
fn watch_messages_are_encoded_as_documented() {
    let filter = [(text("host"), text("cluster"))].into();
    let kind = WatchKind { kind: text("cert_authority"), load_secrets: true, filter };
    let filter = message(4, &[bytes(1, "host"), bytes(2, "cluster")]);
    assert_encoding(
        &Watch { kinds: vec![kind] },
        &[message(1, &[bytes(1, "cert_authority"), varint(2, 1), filter])],
    );
    let event = Event {
        r#type: Operation::Put.into(),
        cert_authority: Some(CertAuthorityV2 { sub_kind: text("host"), ..CertAuthorityV2::default() }),
        watch_status: Some(WatchStatusV1 {}),
    };
    assert_encoding(&event, &[varint(1, 1), message(3, &[bytes(2, "host")]), message(43, &[])]);
    assert_encoding(&Event { r#type: Operation::Init.into(), ..Event::default() }, &[]);
    assert_encoding(&Event { r#type: Operation::Delete.into(), ..Event::default() }, &[varint(1, 2)]);
}

#[test]
fn session_host_certificate_and_leaf_cluster_messages_are_encoded_as_documented() {
    assert_encoding(&GetAppSessionRequest { session_id: text("id") }, &[bytes(1, "id")]);
    let session = Some(WebSessionV2 { metadata: named("id"), ..WebSessionV2::default() });
    assert_encoding(&GetAppSessionResponse { session }, &[message(1, &[message(4, &[bytes(1, "id")])])]);

    let request = GenerateHostCertRequest {
        key: b"key".to_vec(),
        principals: vec![text("principal")],
        cluster_name: text("cluster"),
        role: text("Node"),
        ttl: Some(Duration { seconds: 7, nanos: 0 }),
    };
    let names = [bytes(4, "principal"), bytes(5, "cluster"), bytes(6, "Node")].concat();
    assert_encoding(&request, &[bytes(1, "key"), names, message(7, &[varint(1, 7)])]);
    assert_encoding(&GenerateHostCertResponse { ssh_certificate: b"ssh".to_vec() }, &[bytes(1, "ssh")]);

    let request = ListRemoteClustersRequest { page_size: 7, page_token: text("token") };
    assert_encoding(&request, &[varint(1, 7), bytes(2, "token")]);
    let response = ListRemoteClustersResponse {
        remote_clusters: vec![RemoteClusterV3 { metadata: named("leaf") }],
        next_page_token: text("next"),
    };
    assert_encoding(&response, &[message(1, &[message(4, &[bytes(1, "leaf")])]), bytes(2, "next")]);
}

#[test]
fn workload_identity_requests_are_encoded_as_documented() {
    let x509_svid_params = Some(X509SvidParams { public_key: b"key".to_vec(), use_issuer_overrides: true });
    let jwt_svid_params = Some(JwtSvidParams { audiences: vec![text("audience")] });
    let requested_ttl = Some(Duration { seconds: 7, nanos: 0 });
    let params = [
        message(2, &[bytes(1, "key"), varint(2, 1)]),
        message(3, &[bytes(1, "audience")]),
        message(5, &[varint(1, 7)]),
    ]
    .concat();
    let one = IssueWorkloadIdentityRequest {
        name: text("name"),
        x509_svid_params: x509_svid_params.clone(),
        jwt_svid_params: jwt_svid_params.clone(),
        requested_ttl,
    };
    assert_encoding(&one, &[bytes(1, "name"), params.clone()]);
    let several = IssueWorkloadIdentitiesRequest {
        label_selectors: vec![LabelSelector { key: text("key"), values: vec![text("value")] }],
        x509_svid_params,
        jwt_svid_params,
        requested_ttl,
    };
    assert_encoding(&several, &[message(1, &[bytes(1, "key"), bytes(2, "value")]), params]);
}

#[test]
fn workload_identity_credentials_are_encoded_as_documented() {
    let credential = Credential {
        ttl: Some(Duration { seconds: 7, nanos: 0 }),
        expires_at: Some(Timestamp { seconds: 8, nanos: 0 }),
        workload_identity_name: text("name"),
        workload_identity_revision: text("revision"),
        spiffe_id: text("id"),
        x509_svid: Some(X509SvidCredential {
            cert: b"cert".to_vec(),
            serial_number: text("serial"),
            chain: vec![b"issuer".to_vec()],
        }),
        jwt_svid: Some(JwtSvidCredential { jwt: text("jwt"), jti: text("jti") }),
    };
    let fields = message(
        1,
        &[
            message(1, &[varint(1, 7)]),
            message(2, &[varint(1, 8)]),
            bytes(4, "name"),
            bytes(5, "revision"),
            bytes(6, "id"),
            message(7, &[bytes(1, "cert"), bytes(2, "serial"), bytes(3, "issuer")]),
            message(8, &[bytes(1, "jwt"), bytes(2, "jti")]),
        ],
    );
    let one = IssueWorkloadIdentityResponse { credential: Some(credential.clone()) };
    assert_encoding(&one, std::slice::from_ref(&fields));
    assert_encoding(&IssueWorkloadIdentitiesResponse { credentials: vec![credential] }, &[fields]);
}

#[test]
fn revocation_messages_are_encoded_as_documented() {
    assert_encoding(&StreamSignedCrlRequest {}, &[]);
    assert_encoding(&StreamSignedCrlResponse { crl: b"crl".to_vec() }, &[bytes(1, "crl")]);
}

#[test]
fn federation_messages_are_encoded_as_documented() {
    let request = ListSpiffeFederationsRequest { page_size: 7, page_token: text("token") };
    assert_encoding(&request, &[varint(1, 7), bytes(2, "token")]);
    let federation = SpiffeFederation {
        kind: text("kind"),
        version: text("version"),
        metadata: Some(header::v1::Metadata { name: text("name") }),
        status: Some(SpiffeFederationStatus { current_bundle: text("bundle") }),
    };
    let response =
        ListSpiffeFederationsResponse { spiffe_federations: vec![federation], next_page_token: text("next") };
    let fields = [
        bytes(1, "kind"),
        bytes(3, "version"),
        message(4, &[bytes(1, "name")]),
        message(6, &[bytes(1, "bundle")]),
    ];
    assert_encoding(&response, &[message(1, &fields), bytes(2, "next")]);
}

#[test]
fn messages_of_a_connection_to_a_node_are_encoded_as_documented() {
    use transport_v1::{proxy_ssh_request, proxy_ssh_response};
    let target = transport_v1::TargetHost {
        host_port: text("node:22"),
        cluster: text("cluster"),
        login_name: text("login"),
    };
    let request = transport_v1::ProxySshRequest { dial_target: Some(target), frame: None };
    assert_encoding(&request, &[message(1, &[bytes(1, "node:22"), bytes(2, "cluster"), bytes(3, "login")])]);
    let frame = || transport_v1::Frame { payload: b"payload".to_vec() };
    let sent = proxy_ssh_request::Frame::Ssh(frame());
    let request = transport_v1::ProxySshRequest { dial_target: None, frame: Some(sent) };
    assert_encoding(&request, &[message(2, &[bytes(1, "payload")])]);
    let details = Some(transport_v1::ClusterDetails { fips_enabled: true });
    let received = Some(proxy_ssh_response::Frame::Ssh(frame()));
    let response = transport_v1::ProxySshResponse { details, frame: received };
    assert_encoding(&response, &[message(1, &[varint(1, 1)]), message(2, &[bytes(1, "payload")])]);
}
