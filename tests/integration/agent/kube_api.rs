//! As much of a Kubernetes API server as one Secret needs: TLS, tokens and client certificates, GET, server-side apply
//! with dry run, versions and conflicts. On loopback, raw sockets, one request a connection.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

/// What the server lets in.
pub(super) const TOKEN: &str = "a-service-account-token";

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: String,
    /// Path and query.
    pub(super) target: String,
    pub(super) content_type: String,
    /// As whom: `token` or `certificate`.
    pub(super) as_whom: &'static str,
    pub(super) body: Value,
}

#[derive(Default)]
struct State {
    /// By path.
    secrets: BTreeMap<String, Value>,
    version: u64,
    asked: Vec<Asked>,
    /// Statuses and messages for the next requests of a method that is no dry run.
    refusals: Vec<(&'static str, u16, &'static str)>,
}

pub(super) struct KubeApi {
    pub(super) address: SocketAddr,
    pub(super) ca_pem: String,
    /// A certificate that is let in, and its key.
    pub(super) client: (String, String),
    state: Arc<Mutex<State>>,
}

impl KubeApi {
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
                // A client that hangs up or is refused by TLS is seen on its own side.
                std::thread::spawn(move || {
                    let _ = serve(stream.unwrap(), tls, &state);
                });
            }
        });
        Self { address, ca_pem: ca.pem(), client: (client.pem(), client_key.serialize_pem()), state }
    }

    /// A kubeconfig with two contexts, one a token's and one a certificate's.
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

    /// What a Secret holds, decoded.
    pub(super) fn secret(&self, namespace: &str, name: &str) -> Option<BTreeMap<String, String>> {
        let state = self.state();
        let secret = state.secrets.get(&path(namespace, name))?;
        let decode = |(name, text): (&String, &Value)| {
            let bytes = STANDARD.decode(text.as_str().unwrap()).unwrap();
            (name.clone(), String::from_utf8(bytes).unwrap())
        };
        Some(secret["data"].as_object().unwrap().iter().map(decode).collect())
    }

    /// The Secret as an object.
    pub(super) fn object(&self, namespace: &str, name: &str) -> Value {
        self.state().secrets[&path(namespace, name)].clone()
    }

    /// Changes an object behind the agent's back, as somebody with kubectl does.
    pub(super) fn touch(&self, namespace: &str, name: &str) {
        let mut state = self.state();
        state.version += 1;
        let version = state.version.to_string();
        state.secrets.get_mut(&path(namespace, name)).unwrap()["metadata"]["resourceVersion"] =
            version.into();
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    /// Refuses the next request of this method that is no dry run.
    pub(super) fn refuse_next(&self, method: &'static str, status: u16, message: &'static str) {
        self.state().refusals.push((method, status, message));
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
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        stream.read_line(&mut header)?;
        let Some((name, value)) = header.trim().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let header = |name: &str| headers.get(name).cloned().unwrap_or_default();
    let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
    stream.read_exact(&mut body)?;
    let certified = stream.get_ref().conn.peer_certificates().is_some();
    let as_whom = match header("authorization") == format!("Bearer {TOKEN}") {
        true => "token",
        false if certified => "certificate",
        false => "nobody",
    };
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let asked = Asked { method, target, content_type: header("content-type"), as_whom, body };
    let (status, answer) = state.lock().unwrap().answer(&asked);
    let answer = answer.to_string();
    let head = format!(
        "HTTP/1.1 {status} So\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        answer.len()
    );
    let stream = stream.get_mut();
    stream.write_all(head.as_bytes())?;
    stream.write_all(answer.as_bytes())?;
    stream.conn.send_close_notify();
    stream.flush()
}

fn refusal(status: u16, message: impl Into<String>) -> (u16, Value) {
    let message = message.into();
    (status, json!({ "kind": "Status", "status": "Failure", "code": status, "message": message }))
}

impl State {
    fn answer(&mut self, asked: &Asked) -> (u16, Value) {
        self.asked.push(asked.clone());
        let (path, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
        let query: Vec<&str> = query.split('&').collect();
        let dry_run = query.contains(&"dryRun=All");
        if asked.as_whom == "nobody" {
            return refusal(401, "Unauthorized");
        }
        let refused = self.refusals.iter().position(|(method, ..)| *method == asked.method && !dry_run);
        if let Some(place) = refused {
            let (_, status, message) = self.refusals.remove(place);
            return refusal(status, message);
        }
        let old = self.secrets.get(path);
        match asked.method.as_str() {
            "GET" => old.map_or_else(|| refusal(404, "not found"), |secret| (200, secret.clone())),
            "PATCH" if asked.content_type != "application/apply-patch+yaml" => refusal(415, "no apply"),
            "PATCH" if !query.contains(&"fieldManager=tbot") => refusal(400, "who is it?"),
            "PATCH" => {
                let metadata = &asked.body["metadata"];
                let at = old.map(|old| old["metadata"]["resourceVersion"].clone());
                if metadata.get("resourceVersion").is_some_and(|wanted| Some(wanted) != at.as_ref()) {
                    return refusal(409, "the object has been modified");
                }
                let status = if old.is_some() { 200 } else { 201 };
                self.version += 1;
                let mut secret = asked.body.clone();
                secret["metadata"]["resourceVersion"] = self.version.to_string().into();
                if !dry_run {
                    self.secrets.insert(path.to_owned(), secret.clone());
                }
                (status, secret)
            }
            other => refusal(405, other),
        }
    }
}
