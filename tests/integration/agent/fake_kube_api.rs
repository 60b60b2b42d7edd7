//! A fake Kubernetes API server on loopback that serves Secrets: TLS, bearer tokens and client certificates, GET, and
//! server-side apply with dry run, resource versions and conflicts. Serves one request per connection.

use std::collections::BTreeMap;
use std::io::{BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use super::http_endpoint::HttpRequest;

/// The bearer token that the server accepts.
pub(super) const TOKEN: &str = "a-service-account-token";

/// A request that the server received.
#[derive(Clone, Debug)]
pub(super) struct KubeRequest {
    pub(super) method: String,
    /// Path and query.
    pub(super) target: String,
    pub(super) content_type: String,
    pub(super) credential: Credential,
    pub(super) body: Value,
}

impl KubeRequest {
    fn is_dry_run(&self) -> bool {
        self.target.contains("dryRun=All")
    }
}

/// How a request was authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Credential {
    Token,
    Certificate,
    None,
}

/// Scripted error responses: the method, status and message of each.
type Failures = Vec<(&'static str, u16, &'static str)>;

#[derive(Default)]
struct State {
    /// Secrets by the path of their URL.
    secrets: BTreeMap<String, Value>,
    resource_version: u64,
    requests: Vec<KubeRequest>,
    failures: Failures,
    /// The method of the next request that is processed without a response.
    response_lost_for: Option<&'static str>,
    /// The path of the Secret that changes after the next dry run.
    changed_after_dry_run: Option<String>,
}

pub(super) struct FakeKubeApi {
    pub(super) address: SocketAddr,
    ca_pem: String,
    /// PEM of a certificate that the server accepts, and of its key.
    client: (String, String),
    state: Arc<Mutex<State>>,
}

impl FakeKubeApi {
    pub(super) fn start() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let issue = |names: &[&str]| {
            let key = KeyPair::generate().unwrap();
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &ca).unwrap();
            (certificate, key)
        };
        let (certificate, key) = issue(&["127.0.0.1", "localhost"]);
        let (client, client_key) = issue(&["tbot"]);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(ca.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .unwrap();
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate.der().clone()], key.serialize_der().try_into().unwrap())
            .unwrap();
        let tls = Arc::new(tls);

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::<Mutex<State>>::default();
        let serving = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (tls, state) = (Arc::clone(&tls), Arc::clone(&serving));
                // A client that hangs up or fails the TLS handshake reports the error itself.
                std::thread::spawn(move || {
                    let _ = serve(stream.unwrap(), tls, &state);
                });
            }
        });
        Self { address, ca_pem: ca.pem(), client: (client.pem(), client_key.serialize_pem()), state }
    }

    /// A kubeconfig with the contexts `by-token`, which is the current one, and `by-certificate`.
    pub(super) fn kubeconfig(&self) -> Value {
        let data = |pem: &str| STANDARD.encode(pem);
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "by-token",
            "clusters": [{ "name": "c", "cluster": {
                "server": format!("https://{}", self.address),
                "certificate-authority-data": data(&self.ca_pem),
            } }],
            "users": [
                { "name": "token", "user": { "token": TOKEN } },
                { "name": "certificate", "user": {
                    "client-certificate-data": data(&self.client.0), "client-key-data": data(&self.client.1),
                } },
            ],
            "contexts": [
                { "name": "by-token", "context": { "cluster": "c", "user": "token" } },
                { "name": "by-certificate", "context": { "cluster": "c", "user": "certificate" } },
            ],
        })
    }

    /// The decoded data of a Secret, or `None` if it does not exist.
    pub(super) fn secret(&self, namespace: &str, name: &str) -> Option<BTreeMap<String, String>> {
        let state = self.state();
        let secret = state.secrets.get(&path(namespace, name))?;
        let decode = |(name, value): (&String, &Value)| {
            let bytes = STANDARD.decode(value.as_str().unwrap()).unwrap();
            (name.clone(), String::from_utf8(bytes).unwrap())
        };
        Some(secret["data"].as_object().unwrap().iter().map(decode).collect())
    }

    /// The Secret as an API object.
    pub(super) fn object(&self, namespace: &str, name: &str) -> Value {
        self.state().secrets[&path(namespace, name)].clone()
    }

    /// Gives a Secret a new resource version, as an update by another client does.
    pub(super) fn touch(&self, namespace: &str, name: &str) {
        self.state().touch(&path(namespace, name));
    }

    /// Like [`touch`](Self::touch), after the next dry run.
    pub(super) fn touch_after_dry_run(&self, namespace: &str, name: &str) {
        self.state().changed_after_dry_run = Some(path(namespace, name));
    }

    /// The requests so far, in the order of arrival.
    pub(super) fn requests(&self) -> Vec<KubeRequest> {
        self.state().requests.clone()
    }

    /// Fails the next request with this method that is not a dry run.
    pub(super) fn fail_next(&self, method: &'static str, status: u16, message: &'static str) {
        self.state().failures.push((method, status, message));
    }

    /// Processes the next request with this method that is not a dry run, and closes the connection without a response.
    pub(super) fn lose_next_response(&self, method: &'static str) {
        self.state().response_lost_for = Some(method);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

fn path(namespace: &str, name: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/secrets/{name}")
}

fn serve(stream: TcpStream, tls: Arc<ServerConfig>, state: &Mutex<State>) -> std::io::Result<()> {
    let connection = ServerConnection::new(tls).map_err(std::io::Error::other)?;
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    let request = HttpRequest::read(&mut stream)?;
    let credential = if request.header("authorization") == format!("Bearer {TOKEN}") {
        Credential::Token
    } else if stream.get_ref().conn.peer_certificates().is_some() {
        Credential::Certificate
    } else {
        Credential::None
    };
    let request = KubeRequest {
        content_type: request.header("content-type").to_owned(),
        credential,
        body: serde_json::from_str(&request.body).unwrap_or(Value::Null),
        method: request.method,
        target: request.target,
    };
    let (status, response) = {
        let mut state = state.lock().unwrap();
        let response = state.respond(&request);
        let is_lost = state.response_lost_for == Some(&request.method) && !request.is_dry_run();
        if is_lost {
            state.response_lost_for = None;
            return Ok(());
        }
        response
    };
    let response = response.to_string();
    let head = format!(
        "HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        response.len()
    );
    let stream = stream.get_mut();
    stream.write_all(head.as_bytes())?;
    stream.write_all(response.as_bytes())?;
    stream.conn.send_close_notify();
    stream.flush()
}

fn failure(status: u16, message: &str) -> (u16, Value) {
    (status, json!({ "kind": "Status", "status": "Failure", "code": status, "message": message }))
}

impl State {
    fn touch(&mut self, path: &str) {
        self.resource_version += 1;
        let version = self.resource_version.to_string();
        self.secrets.get_mut(path).unwrap()["metadata"]["resourceVersion"] = version.into();
    }

    fn respond(&mut self, request: &KubeRequest) -> (u16, Value) {
        self.requests.push(request.clone());
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let query: Vec<&str> = query.split('&').collect();
        let dry_run = request.is_dry_run();
        if request.credential == Credential::None {
            return failure(401, "Unauthorized");
        }
        let scripted = self.failures.iter().position(|(method, ..)| *method == request.method && !dry_run);
        if let Some(index) = scripted {
            let (_, status, message) = self.failures.remove(index);
            return failure(status, message);
        }
        let old = self.secrets.get(path);
        match request.method.as_str() {
            "GET" => old.map_or_else(|| failure(404, "not found"), |secret| (200, secret.clone())),
            "PATCH" if request.content_type != "application/apply-patch+yaml" => {
                failure(415, "not a server-side apply")
            }
            "PATCH" if !query.contains(&"fieldManager=tbot") => failure(400, "fieldManager is missing"),
            "PATCH" => {
                let expected = request.body["metadata"].get("resourceVersion");
                let actual = old.map(|old| &old["metadata"]["resourceVersion"]);
                if expected.is_some() && expected != actual {
                    return failure(409, "the object has been modified");
                }
                let status = if old.is_some() { 200 } else { 201 };
                self.resource_version += 1;
                let mut secret = request.body.clone();
                secret["metadata"]["resourceVersion"] = self.resource_version.to_string().into();
                if !dry_run {
                    self.secrets.insert(path.to_owned(), secret.clone());
                } else if let Some(changed) = self.changed_after_dry_run.take() {
                    self.touch(&changed);
                }
                (status, secret)
            }
            other => failure(405, other),
        }
    }
}
