//! The connection to a ClickHouse server over TLS, with a certificate that a CA of the test has issued.

use std::fs;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A CA whose certificate is in a file.
struct TestCa {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: PathBuf,
}

impl TestCa {
    fn new(file: PathBuf) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(&file, issuer.pem()).unwrap();
        Self { issuer, file }
    }

    /// Returns the configuration of a server with a certificate for `localhost`.
    fn server_config(&self) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap()
    }
}

/// Receives requests over TLS and passes them to `respond`, which returns the response. Counts the requests.
fn start_server(
    config: ServerConfig,
    respond: impl Fn(&[u8]) -> Vec<u8> + Send + 'static,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (config, requests) = (Arc::new(config), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&requests);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = BufReader::new(StreamOwned::new(connection, stream));
            // Fails if the client does not trust the certificate.
            let Ok(request) = read_request(&mut stream) else { continue };
            counted.fetch_add(1, Ordering::SeqCst);
            let mut stream = stream.into_inner();
            stream.write_all(&respond(&request)).unwrap();
            stream.conn.send_close_notify();
            stream.flush().unwrap();
        }
    });
    (address, requests)
}

/// Reads a request, and adds the header that ends the connection after its response.
fn read_request(stream: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let (mut request, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
        request += &line;
    }
    let mut request = (request + "Connection: close\r\n\r\n").into_bytes();
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    request.extend(body);
    Ok(request)
}

/// Runs `prehog export` with a store and the file of a trusted CA.
fn export(store: &str, trusted: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prehog"));
    command.args(["export", "--store", store]).env_clear().env("SSL_CERT_FILE", trusted).output().unwrap()
}

#[test]
fn a_clickhouse_server_is_reached_over_tls_only_with_a_trusted_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let [trusted, other] = ["trusted.pem", "other.pem"].map(|name| TestCa::new(directory.path().join(name)));
    // As ClickHouse responds to a statement without a result.
    let empty = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let (address, requests) = start_server(trusted.server_config(), |_| empty.to_vec());
    let store = format!("clickhouse:https://localhost:{}/prehog", address.port());

    assert_eq!(export(&store, &other.file).status.code(), Some(1));
    // The certificate is for another name.
    let by_address = format!("clickhouse:https://127.0.0.1:{}/prehog", address.port());
    assert_eq!(export(&by_address, &trusted.file).status.code(), Some(1));
    let empty = directory.path().join("empty.pem");
    fs::write(&empty, "").unwrap();
    assert_eq!(export(&store, &empty).status.code(), Some(1));
    assert_eq!(requests.load(Ordering::SeqCst), 0);

    let output = export(&store, &trusted.file);
    assert!(output.status.success(), "{output:?}");
    assert!(requests.load(Ordering::SeqCst) > 0);
}

mod on_clickhouse {
    use super::*;
    use crate::clickhouse::TestDatabase;

    #[test]
    #[ignore = "needs a ClickHouse server: .ci/clickhouse"]
    fn a_server_behind_tls_stores_starts() {
        let database = TestDatabase::on_clickhouse("tls");
        let server = database.server.strip_prefix("http://").unwrap().to_owned();
        let directory = tempfile::tempdir().unwrap();
        let ca = TestCa::new(directory.path().join("ca.pem"));
        let (address, requests) = start_server(ca.server_config(), move |request| {
            let mut plain = TcpStream::connect(&server).unwrap();
            plain.write_all(request).unwrap();
            let mut response = Vec::new();
            plain.read_to_end(&mut response).unwrap();
            response
        });
        database
            .url()
            .open()
            .unwrap()
            .append(&[crate::stores::submission(1, crate::stores::MONDAY)])
            .unwrap();
        let store = format!("clickhouse:https://localhost:{}/{}", address.port(), database.name);
        let output = export(&store, &ca.file);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count(), 1);
        assert!(requests.load(Ordering::SeqCst) > 0);
    }
}
