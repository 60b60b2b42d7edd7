//! A client with real TLS. Before a join it trusts only the web CA, and after it the authorities that the join returned.

use std::net::SocketAddr;
use std::sync::Arc;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use ssh_key::public::{EcdsaPublicKey, Ed25519PublicKey, KeyData};
use tbot_cluster::proto::{Certs, UserCertsRequest};
use tbot_cluster::{Cluster, method};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::Status;

use crate::recording;

pub(crate) type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// A key pair.
pub(crate) struct Key {
    pub(crate) private: PrivateKeyDer<'static>,
    /// The public key as an authorized_keys line with its newline.
    pub(crate) line: String,
}

impl Key {
    pub(crate) fn p256() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let public = EcdsaPublicKey::from_sec1_bytes(pair.public_key().as_ref()).unwrap();
        Self::new(pair.to_pkcs8v1().unwrap().as_ref(), KeyData::Ecdsa(public))
    }

    pub(crate) fn ed25519() -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let public = Ed25519PublicKey(pair.public_key().as_ref().try_into().unwrap());
        Self::new(pair.to_pkcs8v1().unwrap().as_ref(), KeyData::Ed25519(public))
    }

    /// Returns the RSA key of the recorded agent.
    pub(crate) fn recorded_rsa() -> Self {
        let private = PrivateKeyDer::from_pem_slice(recording::text("storage/key").as_bytes()).unwrap();
        Self { private, line: recording::text("storage/key.pub") }
    }

    fn new(pkcs8: &[u8], public: KeyData) -> Self {
        let line = ssh_key::PublicKey::from(public).to_openssh().unwrap() + "\n";
        Self { private: PrivatePkcs8KeyDer::from(pkcs8.to_vec()).into(), line }
    }
}

/// A key and the certificates that were issued for it.
pub(crate) struct Bot {
    pub(crate) key: Key,
    pub(crate) certs: Certs,
}

/// Returns the body of a valid join request.
pub(crate) fn join_body(token: &str, key: &Key) -> Value {
    json!({
        "role": "Bot",
        "token": token,
        "public_ssh_key": BASE64_STANDARD.encode(&key.line),
    })
}

/// Joins successfully.
pub(crate) async fn join(cluster: &Cluster, token: &str, key: Key) -> Bot {
    let (status, _, body) = post_join(cluster, &join_body(token, &key)).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    Bot { key, certs: recording::join_certs(&serde_json::from_str(&body).unwrap()) }
}

pub(crate) async fn post_join(cluster: &Cluster, body: &Value) -> (StatusCode, HeaderMap, String) {
    let request = Request::post("/v1/webapi/host/credentials")
        .header("content-type", "application/json")
        .body(Full::from(body.to_string()))
        .unwrap();
    web(cluster, request).await.unwrap()
}

pub(crate) async fn get(cluster: &Cluster, path: &str) -> (StatusCode, HeaderMap, String) {
    web(cluster, Request::get(path).body(Full::default()).unwrap()).await.unwrap()
}

/// Sends a request to the web server, which must present a certificate of the web CA.
pub(crate) async fn web(
    cluster: &Cluster,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, HeaderMap, String), AnyError> {
    let roots = [cluster.web_ca_pem().as_bytes().to_vec()];
    let tls = connect(cluster, "localhost", &roots, None, &[b"http/1.1"]).await?;
    http1(tls, request).await
}

/// Sends an HTTP/1.1 request over a new connection.
pub(crate) async fn http1(
    tls: TlsStream<TcpStream>,
    mut request: Request<Full<Bytes>>,
) -> Result<(StatusCode, HeaderMap, String), AnyError> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls)).await?;
    tokio::spawn(connection);
    request.headers_mut().insert("host", http::HeaderValue::from_static("localhost"));
    let (parts, body) = sender.send_request(request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok((parts.status, parts.headers, String::from_utf8(body.to_vec())?))
}

/// Establishes a TLS connection to the cluster's proxy.
pub(crate) async fn connect(
    cluster: &Cluster,
    name: &str,
    roots: &[Vec<u8>],
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    alpn: &[&[u8]],
) -> Result<TlsStream<TcpStream>, AnyError> {
    connect_to(cluster.proxy_addr(), name, roots, identity, alpn).await
}

/// Establishes a TLS connection to one of the cluster's ports.
pub(crate) async fn connect_to(
    address: SocketAddr,
    name: &str,
    roots: &[Vec<u8>],
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    alpn: &[&[u8]],
) -> Result<TlsStream<TcpStream>, AnyError> {
    let mut store = RootCertStore::empty();
    for pem in roots {
        store.add(CertificateDer::from_pem_slice(pem)?)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(store);
    let mut config = match identity {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    let socket = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name.to_owned())?;
    Ok(TlsConnector::from(Arc::new(config)).connect(name, socket).await?)
}

/// Returns the server name of a cluster's auth server, which contains the cluster's name in hex.
pub(crate) fn hex_name(cluster: &str) -> String {
    let hex: String = cluster.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{hex}.teleport.cluster.local")
}

/// Establishes a TLS connection of `bot` to the auth server, offering the auth server's ALPN entry followed by
/// `protocol`. The certificates `extra` follow the leaf.
pub(crate) async fn connect_auth(
    cluster: &Cluster,
    bot: &Bot,
    extra: &[Vec<u8>],
    protocol: &[u8],
) -> Result<TlsStream<TcpStream>, AnyError> {
    let name = hex_name(cluster.name());
    let pems = std::iter::once(&bot.certs.tls).chain(extra);
    let chain = pems.map(|pem| CertificateDer::from_pem_slice(pem)).collect::<Result<_, _>>()?;
    let identity = Some((chain, bot.key.private.clone_key()));
    let alpn = format!("teleport-auth@{name}");
    connect(cluster, &name, &bot.certs.tls_ca_certs, identity, &[alpn.as_bytes(), protocol]).await
}

/// A gRPC connection to the auth server. Frames messages itself, so that recorded bytes are sent unchanged.
pub(crate) struct Grpc {
    sender: hyper::client::conn::http2::SendRequest<Full<Bytes>>,
    /// The metadata `version`, by default the recorded agent's.
    pub(crate) version: &'static str,
}

impl Grpc {
    pub(crate) async fn connect(cluster: &Cluster, bot: &Bot) -> Result<Self, AnyError> {
        Self::over(connect_auth(cluster, bot, &[], b"h2").await?).await
    }

    pub(crate) async fn over(tls: TlsStream<TcpStream>) -> Result<Self, AnyError> {
        assert_eq!(tls.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
        let io = TokioIo::new(tls);
        let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
        tokio::spawn(connection);
        Ok(Self { sender, version: "15.0.0-dev" })
    }

    /// Calls a method with the bytes of a message, and returns the bytes of the response.
    pub(crate) async fn raw(&mut self, method: &str, message: &[u8]) -> Result<Bytes, Status> {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        let body: Vec<u8> = [&[0], &length[..], message].concat();
        let request = Request::post(format!("https://teleport.cluster.local{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("version", self.version)
            .body(Full::from(body))
            .unwrap();
        let unavailable = |error: hyper::Error| Status::unavailable(error.to_string());
        let response = self.sender.send_request(request).await.map_err(unavailable)?;
        if response.status() != StatusCode::OK {
            return Err(Status::unknown(response.status().to_string()));
        }
        if let Some(status) = Status::from_header_map(response.headers()) {
            return Err(status);
        }
        let body = response.into_body().collect().await.map_err(unavailable)?;
        let status = body.trailers().and_then(Status::from_header_map).unwrap();
        if status.code() != tonic::Code::Ok {
            return Err(status);
        }
        Ok(body.to_bytes().slice(5..))
    }

    pub(crate) async fn call<R: Message + Default>(
        &mut self,
        method: &str,
        message: &impl Message,
    ) -> Result<R, Status> {
        Ok(R::decode(self.raw(method, &message.encode_to_vec()).await?).unwrap())
    }

    /// Calls `GenerateUserCerts`.
    pub(crate) async fn user_certs(&mut self, request: &UserCertsRequest) -> Result<Certs, Status> {
        self.call(method::GENERATE_USER_CERTS, request).await
    }
}
