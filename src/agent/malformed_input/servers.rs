//! Answers of servers: what a proxy's pages say, the answer to a join, messages and refusals of the auth API.

use proptest::prelude::*;
use prost::Message as _;
use tonic::{Code, Status};

use super::{CASES, assert_telling, damages, spoilt};
use crate::agent::bot::join;
use crate::agent::bot::storage::Storage;
use crate::agent::credential::authority::Authority;
use crate::agent::credential::identity::{Identity, SignedCerts};
use crate::agent::credential::identity_file;
use crate::agent::credential::keys::KeyPair;
use crate::agent::credential::x509;
use crate::agent::destination::writer::Directory;
use crate::agent::platform::error_text::describe_json_error;
use crate::agent::recordings::{recorded, recorded_response};
use crate::agent::teleport::api_error::from_status;
use crate::agent::teleport::discovery;
use crate::agent::teleport::error_body::error_message;
use crate::agent::teleport::kubernetes_proxy::KubeProxy;
use crate::agent::teleport::messages::resources::{
    AppSessionReply, GenerateHostCertResponse, ListResourcesResponse,
};
use crate::agent::teleport::messages::{
    Certs, ClusterCaCert, GetCertAuthoritiesResponse, ListRemoteClustersResponse, PingResponse, Role,
};
use crate::agent::teleport::server_version::major;

fn certs_as_recorded() -> SignedCerts {
    Certs::decode(recorded_response("/GenerateUserCerts", "").as_slice()).unwrap().into()
}

/// An identity that is accepted can be saved, loaded and used: its generation counts.
fn refused_or_kept(certs: SignedCerts) -> Result<(), TestCaseError> {
    let key = KeyPair::from_pem(&recorded("storage/key")).unwrap();
    let identity = match Identity::new(key, certs) {
        Ok(identity) => identity,
        Err(error) => return assert_telling(&error),
    };
    let root = tempfile::tempdir().unwrap();
    let storage = Storage::open_directory(Directory::at(root.path())).unwrap();
    storage.save(&identity.into(), "hash").unwrap();
    let Some(loaded) = storage.load().unwrap() else {
        return Err(TestCaseError::fail("saved, and not there any more"));
    };
    let written = identity_file::write(&loaded.identity, &[]);
    prop_assert!(identity_file::IdentityFile::parse(&written).is_ok());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn a_proxys_pages_are_understood_or_refused(damages in damages()) {
        if let Err(error) = discovery::parse(&spoilt(recorded("webapi-find.json").as_bytes(), &damages)) {
            prop_assert!(!describe_json_error(&error).is_empty());
        }
        if let Err(error) = KubeProxy::parse(&spoilt(recorded("webapi-ping.json").as_bytes(), &damages), None) {
            assert_telling(&error)?;
        }
    }

    #[test]
    fn what_a_proxy_says_instead_is_cut_short(body in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(error_message(&body).chars().count() <= 300);
    }

    #[test]
    fn the_answer_to_a_join_is_an_identity_or_refused(damages in damages()) {
        let calls: serde_json::Value = serde_json::from_str(&recorded("first-join.json")).unwrap();
        let body = spoilt(calls[0]["response"].to_string().as_bytes(), &damages);
        match join::parse_response(&body) {
            Err(error) => assert_telling(&error)?,
            Ok(certs) => refused_or_kept(certs)?,
        }
    }

    #[test]
    fn the_answer_to_a_renewal_is_an_identity_or_refused(damages in damages()) {
        let bytes = spoilt(&recorded_response("/GenerateUserCerts", ""), &damages);
        if let Ok(certs) = Certs::decode(bytes.as_slice()) {
            refused_or_kept(certs.into())?;
        }
    }

    #[test]
    fn messages_are_decoded_or_refused(
        method in prop::sample::select(
            &["/Ping", "/GetRole", "/GetClusterCACert", "/GetCertAuthorities", "/ListResources", "/CreateAppSession"][..],
        ),
        damages in damages(),
    ) {
        let bytes = spoilt(&recorded_response(method, ""), &damages);
        // What is decoded is used as the agent uses it; a message of another type is no more than a spoilt one.
        if let Ok(pong) = PingResponse::decode(bytes.as_slice()) {
            let _ = major(&pong.server_version);
        }
        if let Ok(reply) = ClusterCaCert::decode(bytes.as_slice()) {
            let _ = x509::certificates(&String::from_utf8_lossy(&reply.tls_ca));
        }
        if let Ok(reply) = GetCertAuthoritiesResponse::decode(bytes.as_slice()) {
            let specs = reply.cert_authorities.into_iter().filter_map(|authority| authority.spec);
            let authorities: Vec<_> = specs.map(Authority::from).collect();
            let key = KeyPair::from_pem(&recorded("storage/key")).unwrap();
            let identity = Identity::new(key, certs_as_recorded()).unwrap();
            prop_assert!(!identity_file::write(&identity, &authorities).is_empty());
        }
        let _ = Role::decode(bytes.as_slice());
        let _ = ListRemoteClustersResponse::decode(bytes.as_slice());
        let _ = ListResourcesResponse::decode(bytes.as_slice());
        let _ = AppSessionReply::decode(bytes.as_slice());
        let _ = GenerateHostCertResponse::decode(bytes.as_slice());
    }

    #[test]
    fn a_refusal_is_an_error_that_names_the_method(code in 1..20_i32, message in "\\PC{0,40}|[\\x00-\\x7f]{0,20}") {
        let error = from_status("/proto.AuthService/Ping", &Status::new(Code::from_i32(code), message));
        prop_assert!(error.to_string().contains("/proto.AuthService/Ping"), "{}", error);
        // A refusal that the server may have acted on is never taken for one that it has not.
        if matches!(Code::from_i32(code), Code::Unknown | Code::Unavailable | Code::Internal | Code::Cancelled) {
            prop_assert!(!error.was_not_processed() || error.to_string().contains("have expired"));
        }
    }
}
