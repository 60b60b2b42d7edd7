//! The fuzz targets `server-replies` and `agent-environment`.
//!
//! Any reply is accepted, and can then be used and saved, or refused with an error that contains no secret. Any value of a
//! variable is used or refused, and no proxy is displayed with its password.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use prost::Message as _;
use serde_json::{Value, json};
use url::Url;

use super::servers::check_certs;
use super::workloads::{check_certificate, check_token, jwt_credential};
use super::{check_error, lossy};
use crate::agent::bot::join;
use crate::agent::credential::authority::CertAuthority;
use crate::agent::credential::identity::SignedCerts;
use crate::agent::credential::revocation_list::RevocationList;
use crate::agent::credential::{ssh_cert, trust_bundle, x509};
use crate::agent::net::http_proxy::HttpProxy;
use crate::agent::net::upgrade_variable::needs_upgrade;
use crate::agent::platform::Environment;
use crate::agent::recordings::{recorded, recorded_response};
use crate::agent::service::svid::sample;
use crate::agent::teleport::kubernetes_proxy::KubeProxy;
use crate::agent::teleport::messages::{
    Certs, GetCertAuthoritiesResponse, GetClusterCaCertResponse, IssueWorkloadIdentityResponse,
    ListResourcesResponse, PingResponse, join_v1,
};
use crate::agent::teleport::proxy_settings::ProxySettings;
use crate::agent::teleport::server_version::major;
use crate::agent::teleport::{auth_discovery, discovery, error_body};
use crate::untrusted::is_printable;

/// Returns the replies of the recordings, each after a line with its kind.
fn recorded_replies() -> Vec<Vec<u8>> {
    let calls: Value = serde_json::from_str(&recorded("first-join.json")).unwrap();
    let (key, svid) = sample::x509(&[sample::ID]);
    let bundle =
        json!({ "keys": [{ "use": "x509-svid", "kty": "EC", "x5c": [] }], "spiffe_refresh_hint": 300 });
    drop(key);
    [
        ("find", recorded("webapi-find.json").into_bytes()),
        ("ping", recorded("webapi-ping.json").into_bytes()),
        ("join", calls[0]["response"].to_string().into_bytes()),
        ("certs", recorded_response("/GenerateUserCerts", "")),
        ("ca", recorded_response("/GetClusterCACert", "")),
        ("authorities", recorded_response("/GetCertAuthorities", "")),
        ("message", recorded_response("/ListResources", "")),
        ("message", recorded_response("/Ping", "")),
        ("svid", IssueWorkloadIdentityResponse { credential: Some(svid) }.encode_to_vec()),
        ("bundle", bundle.to_string().into_bytes()),
        ("jwt", b"eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIiwiYXVkIjoiYSIsImV4cCI6MTA5OTUxMTYyNzc3Nn0.YQ".to_vec()),
        ("ssh", recorded("storage/key-cert.pub").into_bytes()),
        ("page", recorded("join-refused.http").into_bytes()),
    ]
    .into_iter()
    .map(|(kind, reply)| [kind.as_bytes(), b"\n", &reply].concat())
    .collect()
}

/// Checks the error of a refused reply, and returns its text as the outcome.
fn outcome<T, E: std::error::Error>(result: Result<T, E>) -> String {
    result.err().map_or_else(String::new, |error| {
        check_error(&error).unwrap();
        error.to_string()
    })
}

/// Handles a reply as the agent does.
fn handle(kind: &[u8], body: &[u8]) -> String {
    match kind {
        b"find" => outcome(discovery::parse(body)),
        b"ping" => match ProxySettings::parse(body) {
            Ok(settings) => outcome(KubeProxy::new(settings, None)),
            refused => outcome(refused),
        },
        b"join" => match join::parse_response(body) {
            Ok(certs) => use_certs(certs),
            refused => outcome(refused),
        },
        b"certs" => Certs::decode(body).map_or_else(|_| String::new(), |certs| use_certs(certs.into())),
        b"ca" => GetClusterCaCertResponse::decode(body)
            .map_or_else(|_| String::new(), |reply| outcome(auth_discovery::parse(&reply))),
        b"authorities" => {
            let authorities =
                GetCertAuthoritiesResponse::decode(body).unwrap_or_default().cert_authorities_v2;
            let specs = authorities.into_iter().filter_map(|authority| authority.spec);
            specs.map(|spec| CertAuthority::try_from(spec).is_ok().to_string()).collect()
        }
        b"message" => {
            let ping = PingResponse::decode(body).map(|ping| major(&ping.server_version));
            let joined = join_v1::JoinResponse::decode(body).map(|response| response.payload.is_some());
            format!("{ping:?} {joined:?} {}", ListResourcesResponse::decode(body).is_ok())
        }
        b"svid" => {
            let credential = IssueWorkloadIdentityResponse::decode(body).unwrap_or_default().credential;
            if let Some(credential) = credential {
                check_certificate(credential.clone(), &sample::x509(&[sample::ID]).0).unwrap();
                check_token(credential).unwrap();
            }
            String::new()
        }
        b"bundle" => {
            let authorities = trust_bundle::x509_authorities(&lossy(body));
            for der in authorities.iter().flatten() {
                assert!(x509::certificate(der).is_ok());
            }
            outcome(authorities)
        }
        b"jwt" => {
            check_token(jwt_credential(lossy(body))).unwrap();
            String::new()
        }
        b"ssh" => outcome(ssh_cert::certified_key(&lossy(body))),
        b"crl" => format!("{:?}", RevocationList::from_der(body).is_ok()),
        _ => {
            let message = error_body::error_message(body).to_string();
            assert!(message.chars().all(is_printable), "{message:?}");
            String::new()
        }
    }
}

fn use_certs(certs: SignedCerts) -> String {
    check_certs(certs).unwrap();
    String::new()
}

#[test]
fn any_reply_is_used_or_refused() {
    tbot_fuzz::fuzz("server-replies", recorded_replies(), |bytes| {
        let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
        let (kind, body) = bytes.split_at(end);
        (kind.to_vec(), handle(kind, body.get(1..).unwrap_or_default()))
    });
}

#[test]
fn any_variable_is_used_or_refused() {
    const NAMES: [&str; 6] = [
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "NO_PROXY",
        "no_proxy",
        "TELEPORT_TLS_ROUTING_CONN_UPGRADE",
    ];
    let url = Url::parse("https://a.example:443").unwrap();
    let address = "a.example:443".parse().unwrap();
    tbot_fuzz::fuzz("agent-environment", [], |bytes| {
        let values = bytes.split(|byte| *byte == b'\n').map(|value| OsString::from_vec(value.to_vec()));
        let environment: Environment = NAMES.into_iter().zip(values).collect();
        let proxy = HttpProxy::for_url(&url, &environment);
        if let Ok(Some(proxy)) = &proxy {
            for shown in [proxy.to_string(), format!("{proxy:?}")] {
                assert!(!shown.contains("hunter2@") && shown.chars().all(is_printable), "{shown}");
            }
        }
        let upgrade = needs_upgrade(&environment, &address);
        for shown in
            [proxy.as_ref().err().map(ToString::to_string), upgrade.as_ref().err().map(ToString::to_string)]
        {
            assert!(shown.is_none_or(|shown| shown.chars().all(is_printable)), "{environment:?}");
        }
        (proxy.map(|proxy| proxy.is_some()).map_err(|error| error.to_string()), upgrade.ok())
    });
}
