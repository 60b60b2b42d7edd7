//! Workload identities: the permissions that they need, which requests are refused, and what is issued.

use std::time::UNIX_EPOCH;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use prost::Message;
use serde_json::{Value, json};
use tbot_cluster::proto::{
    Credential, IssueWorkloadIdentitiesRequest, IssueWorkloadIdentitiesResponse,
    IssueWorkloadIdentityRequest, IssueWorkloadIdentityResponse, JwtSvidParams, LabelSelector,
    ListSpiffeFederationsRequest, ListSpiffeFederationsResponse, StreamSignedCrlRequest,
    StreamSignedCrlResponse, X509SvidParams,
};
use tbot_cluster::{Cluster, Code, MovableClock, Role, WorkloadIdentity, method};
use tonic::Status;
use x509_cert::Certificate;
use x509_cert::crl::CertificateList;
use x509_cert::der::{Decode as _, Encode as _};

use crate::certificates::parse;
use crate::client::Grpc;
use crate::fixture::{Fixture, HOUR, refusal, start_cluster_of};

/// A cluster of a given version, and an output of a bot as its client.
struct WorkloadFixture {
    cluster: Cluster,
    clock: MovableClock,
    /// A connection of the output, which has the role `access`.
    grpc: Grpc,
    /// A SubjectPublicKeyInfo in DER.
    public_key: Vec<u8>,
}

impl WorkloadFixture {
    async fn new(version: &str) -> Self {
        let fixture = Fixture::of(start_cluster_of(version).await).await;
        let output = fixture.impersonate().await;
        let public_key = parse(&output.certs.tls).tbs_certificate.subject_public_key_info.to_der().unwrap();
        let grpc = Grpc::connect(&fixture.cluster, &output).await.unwrap();
        Self { cluster: fixture.cluster, clock: fixture.clock, grpc, public_key }
    }

    /// Returns a request for an X.509 SVID.
    fn x509_request(&self, name: &str) -> IssueWorkloadIdentityRequest {
        let params = X509SvidParams { public_key: self.public_key.clone(), use_issuer_overrides: true };
        IssueWorkloadIdentityRequest {
            name: name.to_owned(),
            x509_svid_params: Some(params),
            requested_ttl: prost_types::Duration::try_from(HOUR).ok(),
            ..IssueWorkloadIdentityRequest::default()
        }
    }

    async fn issue(&mut self, request: &IssueWorkloadIdentityRequest) -> Result<Credential, Status> {
        let response =
            self.call::<IssueWorkloadIdentityResponse>(method::ISSUE_WORKLOAD_IDENTITY, request).await?;
        Ok(response.credential.unwrap())
    }

    /// Returns the names of the workload identities with these labels.
    async fn select(&mut self, labels: &[(&str, &[&str])]) -> Result<Vec<String>, Status> {
        let selector = |(key, values): &(&str, &[&str])| LabelSelector {
            key: (*key).to_owned(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        };
        let request = IssueWorkloadIdentitiesRequest {
            label_selectors: labels.iter().map(selector).collect(),
            jwt_svid_params: Some(JwtSvidParams { audiences: vec!["a".to_owned()] }),
            ..IssueWorkloadIdentitiesRequest::default()
        };
        let method = method::ISSUE_WORKLOAD_IDENTITIES;
        let response = self.call::<IssueWorkloadIdentitiesResponse>(method, &request).await?;
        Ok(response.credentials.into_iter().map(|credential| credential.workload_identity_name).collect())
    }

    async fn call<R: Message + Default>(
        &mut self,
        method: &str,
        request: &impl Message,
    ) -> Result<R, Status> {
        self.grpc.call(method, request).await
    }
}

#[tokio::test]
async fn an_x509_svid_is_for_the_key_and_expires_within_the_limit() {
    let mut fixture = WorkloadFixture::new("18.0.0").await;
    let identity = WorkloadIdentity::new("web", "/svc/web");
    let short = WorkloadIdentity { max_ttl: HOUR / 2, ..WorkloadIdentity::new("short", "/svc/short") };
    fixture.cluster.set_workload_identity(identity);
    fixture.cluster.set_workload_identity(short);
    for (name, ttl) in [("web", HOUR), ("short", HOUR / 2)] {
        let request = fixture.x509_request(name);
        let credential = fixture.issue(&request).await.unwrap();
        assert_eq!(credential.spiffe_id, format!("spiffe://dev.test/svc/{name}"));
        let svid = credential.x509_svid.unwrap();
        let certificate = Certificate::from_der(&svid.cert).unwrap().tbs_certificate;
        assert_eq!(certificate.subject_public_key_info.to_der().unwrap(), fixture.public_key);
        let not_after = certificate.validity.not_after.to_unix_duration();
        assert_eq!(UNIX_EPOCH + not_after, fixture.clock.now() + ttl);
        assert_eq!(svid.chain, Vec::<Vec<u8>>::new());
    }
}

#[tokio::test]
async fn a_jwt_svid_is_for_the_audiences() {
    let mut fixture = WorkloadFixture::new("18.0.0").await;
    fixture.cluster.set_workload_identity(WorkloadIdentity::new("web", "/svc/web"));
    let mut request = fixture.x509_request("web");
    request.x509_svid_params = None;
    request.jwt_svid_params = Some(JwtSvidParams { audiences: vec!["a".to_owned(), "b".to_owned()] });
    let token = fixture.issue(&request).await.unwrap().jwt_svid.unwrap().jwt;
    let parts: Vec<_> = token.split('.').collect();
    let claims: Value = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    assert_eq!((parts.len(), &claims["sub"]), (3, &json!("spiffe://dev.test/svc/web")));
    assert_eq!(claims["aud"], json!(["a", "b"]));
}

#[tokio::test]
async fn invalid_requests_and_missing_permissions_are_refused() {
    let mut fixture = WorkloadFixture::new("18.0.0").await;
    fixture.cluster.set_workload_identity(WorkloadIdentity::new("web", "/svc/web"));
    let good = fixture.x509_request("web");
    let with_key = |public_key: &[u8]| {
        let params = X509SvidParams { public_key: public_key.to_vec(), use_issuer_overrides: true };
        IssueWorkloadIdentityRequest { x509_svid_params: Some(params), ..good.clone() }
    };
    let with_audiences = |audiences: &[&str]| {
        let audiences = audiences.iter().map(|audience| (*audience).to_owned()).collect();
        IssueWorkloadIdentityRequest { jwt_svid_params: Some(JwtSvidParams { audiences }), ..good.clone() }
    };
    let negative = Some(prost_types::Duration { seconds: -1, nanos: 0 });
    let mut refusals = Vec::new();
    for request in [
        IssueWorkloadIdentityRequest { name: String::new(), ..good.clone() },
        IssueWorkloadIdentityRequest { name: "nope".into(), ..good.clone() },
        with_audiences(&["a"]),
        with_key(b""),
        // PEM instead of DER.
        with_key(b"-----BEGIN"),
        IssueWorkloadIdentityRequest { requested_ttl: negative, ..good.clone() },
        IssueWorkloadIdentityRequest { x509_svid_params: None, ..with_audiences(&[]) },
    ] {
        let refusal = refusal(fixture.issue(&request).await).to_string();
        // Without the last line of a wrapped error, which is worded by the DER parser.
        refusals.push(refusal.split("\n\t").take(2).collect::<Vec<_>>().join(": "));
    }
    insta::assert_snapshot!(refusals.join("\n"), @r#"
    InvalidArgument: name: is required
    NotFound: workload_identity "nope" doesn't exist
    InvalidArgument: at least one credential type must be requested
    InvalidArgument: x509_svid_params.public_key: is required
    InvalidArgument: issuing X509 SVID: parsing public key
    InvalidArgument: requested_ttl: must not be negative
    InvalidArgument: jwt_svid_params.audiences: at least one audience should be specified
    "#);
    assert!(fixture.issue(&good).await.is_ok());

    fixture.cluster.set_role(Role { allow_workload_identities: false, ..Role::new("access") });
    insta::assert_snapshot!(
        refusal(fixture.issue(&good).await),
        @r#"PermissionDenied: access denied to perform action "read" on "workload_identity""#
    );
}

#[tokio::test]
async fn labels_select_at_most_ten_identities() {
    let mut fixture = WorkloadFixture::new("18.0.0").await;
    for number in 0..6 {
        let env = if number % 2 == 0 { "prod" } else { "dev" };
        let identity = WorkloadIdentity::new(&format!("w{number}"), &format!("/{number}"));
        fixture.cluster.set_workload_identity(identity.with_label("env", env).with_label("team", "a"));
    }
    assert_eq!(fixture.select(&[("env", &["prod"])]).await.unwrap(), ["w0", "w2", "w4"]);
    assert_eq!(fixture.select(&[("env", &["prod", "dev"]), ("team", &["a"])]).await.unwrap().len(), 6);
    assert_eq!(fixture.select(&[("env", &["*"]), ("team", &["b"])]).await.unwrap(), Vec::<String>::new());
    insta::assert_snapshot!(
        refusal(fixture.select(&[]).await),
        @"InvalidArgument: label_selectors: at least one label selector must be specified"
    );
    for number in 6..11 {
        fixture.cluster.set_workload_identity(WorkloadIdentity::new(&format!("w{number}"), "/w"));
    }
    insta::assert_snapshot!(
        refusal(fixture.select(&[("*", &["*"])]).await),
        @"InvalidArgument: number of identities that would be issued exceeds maximum permitted (max = 10), use more specific labels"
    );
}

#[tokio::test]
async fn federations_are_paginated() {
    let mut fixture = WorkloadFixture::new("18.0.0").await;
    for number in 0..5 {
        fixture.cluster.federate(&format!("d{number}.test"), (number == 3).then(|| "{}".to_owned()));
    }
    let mut names = Vec::new();
    let mut request = ListSpiffeFederationsRequest { page_size: 2, page_token: String::new() };
    loop {
        let method = method::LIST_SPIFFE_FEDERATIONS;
        let page: ListSpiffeFederationsResponse = fixture.call(method, &request).await.unwrap();
        assert!(page.spiffe_federations.len() <= 2);
        names.extend(
            page.spiffe_federations.into_iter().map(|f| (f.metadata.unwrap().name, f.status.is_some())),
        );
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    let expected: Vec<_> = (0..5).map(|number| (format!("d{number}.test"), number == 3)).collect();
    assert_eq!(names, expected);
}

#[tokio::test]
async fn older_clusters_do_not_serve_workload_identities() {
    let mut fixture = WorkloadFixture::new("16.4.0").await;
    fixture.cluster.set_workload_identity(WorkloadIdentity::new("web", "/svc/web"));
    let request = fixture.x509_request("web");
    assert_eq!(refusal(fixture.issue(&request).await).code, Code::Unimplemented);
}

#[tokio::test]
async fn the_list_of_revoked_svids_is_sent_at_once_and_after_each_revocation() {
    let WorkloadFixture { cluster, clock, mut grpc, .. } = WorkloadFixture::new("17.5.0").await;
    cluster.revoke_x509_svid(&[7]).unwrap();
    let request = StreamSignedCrlRequest {}.encode_to_vec();
    let (stream, ()) = tokio::join!(grpc.raw(method::STREAM_SIGNED_CRL, &request), async {
        cluster.wait_for(method::STREAM_SIGNED_CRL, 1).await;
        cluster.revoke_x509_svid(&[9]).unwrap();
        cluster.end_revocation_streams();
    });
    let stream = stream.unwrap();
    let issuer = parse(cluster.authority_pem("spiffe").as_bytes()).tbs_certificate.subject;
    // The first message consists of one field. The prefix of the second one has five bytes.
    let mut content = &stream[1..];
    let length = usize::try_from(prost::encoding::decode_varint(&mut content).unwrap()).unwrap();
    let (first, rest) = stream.split_at(stream.len() - content.len() + length);
    let serials = [first, &rest[5..]].map(|message| {
        let crl = StreamSignedCrlResponse::decode(message).unwrap().crl;
        let list = CertificateList::from_der(&crl).unwrap().tbs_cert_list;
        assert_eq!(list.issuer, issuer);
        assert_eq!(UNIX_EPOCH + list.this_update.to_unix_duration(), clock.now());
        let revoked = list.revoked_certificates.unwrap();
        revoked.into_iter().map(|entry| entry.serial_number.as_bytes().to_vec()).collect::<Vec<_>>()
    });
    assert_eq!(serials, [vec![vec![7]], vec![vec![7], vec![9]]]);
}

#[tokio::test]
async fn without_revoked_svids_the_list_is_empty_and_older_clusters_do_not_serve_it() {
    for (version, expected) in [("17.5.0", Ok(vec![])), ("17.4.9", Err(Code::Unimplemented))] {
        let WorkloadFixture { cluster, mut grpc, .. } = WorkloadFixture::new(version).await;
        let (stream, ()) = tokio::join!(grpc.raw(method::STREAM_SIGNED_CRL, &[]), async {
            cluster.wait_for(method::STREAM_SIGNED_CRL, 1).await;
            cluster.end_revocation_streams();
        });
        assert_eq!(stream.map(|bytes| bytes.to_vec()).map_err(|status| status.code()), expected, "{version}");
    }
}
