//! Malformed responses of servers: those of the proxy's web API, the response to a join, and messages and errors of the
//! auth API.

use proptest::prelude::*;
use prost::Message as _;
use tonic::{Code, Status};

use super::{CASES, check_error, mutate, mutations};
use crate::agent::bot::join;
use crate::agent::bot::storage::Storage;
use crate::agent::credential::authority::CertAuthority;
use crate::agent::credential::identity::{Identity, SignedCerts};
use crate::agent::credential::identity_file;
use crate::agent::credential::keys::KeyPair;
use crate::agent::credential::x509;
use crate::agent::destination::target::DirectoryTarget;
use crate::agent::platform::Clock;
use crate::agent::platform::reminders::RecurringWarnings;
use crate::agent::recordings::{recorded, recorded_response};
use crate::agent::teleport::api_error::from_status;
use crate::agent::teleport::auth_discovery;
use crate::agent::teleport::discovery;
use crate::agent::teleport::error_body::error_message;
use crate::agent::teleport::kubernetes_proxy::{KubeProxy, KubeProxyError};
use crate::agent::teleport::messages::{
    Certs, CreateAppSessionResponse, GenerateHostCertResponse, GetCertAuthoritiesResponse,
    GetClusterCaCertResponse, ListRemoteClustersResponse, ListResourcesResponse, PingResponse, RoleV6,
};
use crate::agent::teleport::proxy_settings::ProxySettings;
use crate::agent::teleport::server_version::major;
use crate::untrusted::{MAX_CHARS, is_printable};

fn recorded_certs() -> SignedCerts {
    Certs::decode(recorded_response("/GenerateUserCerts", "").as_slice()).unwrap().into()
}

/// Checks that certificates are refused, or can be saved, loaded and written: the server has incremented the
/// generation, so an accepted identity must not be lost.
pub(super) fn check_certs(certs: SignedCerts) -> Result<(), TestCaseError> {
    let key = KeyPair::from_pem(&recorded("storage/key")).unwrap();
    let identity = match Identity::new(key, certs) {
        Ok(identity) => identity,
        Err(error) => return check_error(&error),
    };
    let root = tempfile::tempdir().unwrap();
    let storage = Storage::open_directory(
        DirectoryTarget::with_defaults(root.path()),
        RecurringWarnings::new(Clock::system()),
    )
    .unwrap();
    storage.save(&identity.into(), "hash", None).unwrap();
    let Some(loaded) = storage.load().unwrap() else {
        return Err(TestCaseError::fail("the saved identity cannot be loaded"));
    };
    let written = identity_file::render(&loaded.identity, &[]);
    prop_assert!(identity_file::IdentityFile::parse(&written).is_ok());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn discovery_responses_are_parsed_or_refused(mutations in mutations()) {
        if let Err(error) = discovery::parse(&mutate(recorded("webapi-find.json").as_bytes(), &mutations)) {
            check_error(&error)?;
        }
        let settings = ProxySettings::parse(&mutate(recorded("webapi-ping.json").as_bytes(), &mutations));
        if let Err(error) = settings.map_err(KubeProxyError::from).and_then(|settings| KubeProxy::new(settings, None)) {
            check_error(&error)?;
        }
    }

    #[test]
    fn an_error_page_is_truncated(body in prop::collection::vec(any::<u8>(), 0..2000)) {
        let message = error_message(&body).to_string();
        prop_assert!(message.chars().all(is_printable) && message.chars().count() < 10 * MAX_CHARS);
    }

    #[test]
    fn the_response_to_a_join_is_an_identity_or_refused(mutations in mutations()) {
        let calls: serde_json::Value = serde_json::from_str(&recorded("first-join.json")).unwrap();
        let body = mutate(calls[0]["response"].to_string().as_bytes(), &mutations);
        match join::parse_response(&body) {
            Err(error) => check_error(&error)?,
            Ok(certs) => check_certs(certs)?,
        }
    }

    #[test]
    fn the_response_to_a_renewal_is_an_identity_or_refused(mutations in mutations()) {
        let bytes = mutate(&recorded_response("/GenerateUserCerts", ""), &mutations);
        if let Ok(certs) = Certs::decode(bytes.as_slice()) {
            check_certs(certs.into())?;
        }
    }

    #[test]
    fn messages_are_decoded_or_refused(
        method in prop::sample::select(
            &["/Ping", "/GetRole", "/GetClusterCACert", "/GetCertAuthorities", "/ListResources", "/CreateAppSession"][..],
        ),
        mutations in mutations(),
    ) {
        let bytes = mutate(&recorded_response(method, ""), &mutations);
        // Each message is decoded as every type, not only as its own: a wrong type is just one more mutation. Decoded
        // messages are then used as the agent uses them.
        if let Ok(ping) = PingResponse::decode(bytes.as_slice()) {
            let _ = major(&ping.server_version);
        }
        if let Ok(response) = GetClusterCaCertResponse::decode(bytes.as_slice()) {
            let _ = x509::certificates(&String::from_utf8_lossy(&response.tls_ca));
            if let Err(error) = auth_discovery::parse(&response) {
                check_error(&error)?;
            }
        }
        if let Ok(response) = GetCertAuthoritiesResponse::decode(bytes.as_slice()) {
            let specs = response.cert_authorities_v2.into_iter().filter_map(|authority| authority.spec);
            let authorities: Vec<_> = specs.filter_map(|spec| CertAuthority::try_from(spec).ok()).collect();
            let key = KeyPair::from_pem(&recorded("storage/key")).unwrap();
            let identity = Identity::new(key, recorded_certs()).unwrap();
            prop_assert!(!identity_file::render(&identity, &authorities).is_empty());
        }
        let _ = RoleV6::decode(bytes.as_slice());
        let _ = ListRemoteClustersResponse::decode(bytes.as_slice());
        let _ = ListResourcesResponse::decode(bytes.as_slice());
        let _ = CreateAppSessionResponse::decode(bytes.as_slice());
        let _ = GenerateHostCertResponse::decode(bytes.as_slice());
    }

    #[test]
    fn an_error_of_the_api_names_the_method(code in 1..20_i32, message in "\\PC{0,40}|[\\x00-\\x7f]{0,20}") {
        let error = from_status("/proto.AuthService/Ping", Status::new(Code::from_i32(code), message));
        prop_assert!(error.to_string().contains("/proto.AuthService/Ping"), "{}", error);
        // If the server may have processed the request, the error must not claim that it has not.
        if matches!(Code::from_i32(code), Code::Unknown | Code::Unavailable | Code::Internal | Code::Cancelled) {
            prop_assert!(!error.was_not_processed() || error.to_string().contains("have expired"));
        }
    }
}
