//! An HTTP server on loopback, built on raw sockets, that a test can make misbehave. It serves as a telemetry endpoint and
//! as a proxy.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::server_tls::ServerTls;

/// What the server does with every connection.
#[derive(Clone)]
pub(crate) enum Behaviour {
    /// Reads the request and responds with this status line, these headers and this body.
    Respond { status: &'static str, headers: String, body: &'static str },
    /// Reads the request and never responds.
    Silence,
    /// Reads the request and responds with a header that never ends, one byte at a time.
    Drip,
    /// Responds with this status and a body of 1 GiB.
    Flood { status: &'static str },
    /// Responds with bytes that are not HTTP.
    Garbage,
    /// Responds to the first byte in plain HTTP, like a server that does not speak TLS.
    NoTls,
}

impl Behaviour {
    pub(crate) fn ok() -> Self {
        Self::respond("200 OK", "{}")
    }

    pub(crate) fn respond(status: &'static str, body: &'static str) -> Self {
        Self::Respond { status, headers: "Content-Type: application/json\r\n".to_owned(), body }
    }

    pub(crate) fn redirect(to: &FakeServer) -> Self {
        let headers = format!("Location: {}/elsewhere\r\n", to.url());
        Self::Respond { status: "307 Temporary Redirect", headers, body: "" }
    }
}

/// A request as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReceivedRequest {
    /// Method, path and version.
    pub(crate) request_line: String,
    /// `Name: value`, sorted.
    pub(crate) headers: Vec<String>,
    pub(crate) body: String,
    /// Everything before the body, byte for byte.
    pub(crate) head: String,
}

/// A listening server. Dropping it closes all its connections.
pub(crate) struct FakeServer {
    port: u16,
    shared: Arc<Shared>,
    _keep_open: Sender<()>,
}

/// How a connection becomes a stream of requests.
enum Transport {
    Plain,
    Tls(ServerTls),
    /// Like an HTTP proxy and the server behind it: `CONNECT`, then TLS.
    Tunnel(ServerTls),
}

struct Shared {
    transport: Transport,
    connections: AtomicUsize,
    closed_connections: AtomicUsize,
    bytes_flooded: AtomicUsize,
    requests: Mutex<Vec<ReceivedRequest>>,
    request_received: Sender<()>,
    received_requests: Mutex<Receiver<()>>,
    /// Disconnected when the server is dropped, which ends every connection that is kept open.
    kept_open: Mutex<Receiver<()>>,
}

impl FakeServer {
    pub(crate) fn new(behaviour: Behaviour) -> Self {
        Self::with_transport(Transport::Plain, behaviour)
    }

    /// A server with TLS that accepts every request.
    pub(crate) fn https() -> Self {
        Self::with_transport(Transport::Tls(ServerTls::for_host("127.0.0.1")), Behaviour::ok())
    }

    /// An HTTP proxy together with the server `https://HOST` behind it, which accepts every request.
    pub(crate) fn https_behind_proxy(host: &str) -> Self {
        Self::with_transport(Transport::Tunnel(ServerTls::for_host(host)), Behaviour::ok())
    }

    fn with_transport(transport: Transport, behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (keep_open, kept_open) = mpsc::channel();
        let (request_received, received_requests) = mpsc::channel();
        let shared = Arc::new(Shared {
            transport,
            connections: AtomicUsize::new(0),
            closed_connections: AtomicUsize::new(0),
            bytes_flooded: AtomicUsize::new(0),
            requests: Mutex::default(),
            request_received,
            received_requests: Mutex::new(received_requests),
            kept_open: Mutex::new(kept_open),
        });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                serving.connections.fetch_add(1, Ordering::SeqCst);
                let (shared, behaviour) = (Arc::clone(&serving), behaviour.clone());
                std::thread::spawn(move || {
                    // The client may close the connection early; the test checks what the client reports.
                    let _ = shared.accept(stream.unwrap(), &behaviour);
                    shared.closed_connections.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Self { port, shared, _keep_open: keep_open }
    }

    pub(crate) fn ok() -> Self {
        Self::new(Behaviour::ok())
    }

    /// `HOST:PORT`.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The URL of the same port with TLS, which only [`FakeServer::https`] speaks.
    pub(crate) fn https_url(&self) -> String {
        format!("https://{}", self.address())
    }

    /// The certificate of the authority of a server with TLS.
    pub(crate) fn ca_pem(&self) -> &str {
        match &self.shared.transport {
            Transport::Plain => panic!("the server does not speak TLS"),
            Transport::Tls(tls) | Transport::Tunnel(tls) => &tls.ca_pem,
        }
    }

    /// The number of connections that the server has accepted.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// The number of connections that the server has closed.
    pub(crate) fn closed_connections(&self) -> usize {
        self.shared.closed_connections.load(Ordering::SeqCst)
    }

    /// The number of bytes of [`Behaviour::Flood`] that were sent.
    pub(crate) fn bytes_flooded(&self) -> usize {
        self.shared.bytes_flooded.load(Ordering::SeqCst)
    }

    /// All requests that were received completely.
    pub(crate) fn requests(&self) -> Vec<ReceivedRequest> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// Waits until a request has been received completely.
    pub(crate) fn wait_for_request(&self) {
        self.shared.received_requests.lock().unwrap().recv_timeout(Duration::from_secs(30)).unwrap();
    }
}

impl Shared {
    fn accept(&self, mut stream: TcpStream, behaviour: &Behaviour) -> std::io::Result<()> {
        match &self.transport {
            Transport::Plain => self.serve(stream, behaviour),
            Transport::Tls(tls) => self.serve(tls.accept(stream), behaviour),
            Transport::Tunnel(tls) => {
                self.receive(&mut stream)?;
                stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
                self.serve(tls.accept(stream), behaviour)
            }
        }
    }

    fn receive(&self, stream: &mut impl Read) -> std::io::Result<()> {
        let request = read_request(stream)?;
        self.requests.lock().unwrap().push(request);
        let _ = self.request_received.send(());
        Ok(())
    }

    fn serve(&self, mut stream: impl Read + Write, behaviour: &Behaviour) -> std::io::Result<()> {
        if matches!(behaviour, Behaviour::NoTls) {
            stream.read_exact(&mut [0])?;
            return stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }
        self.receive(&mut stream)?;
        match behaviour {
            Behaviour::Respond { status, headers, body } => {
                let length = body.len();
                write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n{body}")
            }
            Behaviour::Silence => {
                let _ = self.kept_open.lock().unwrap().recv();
                Ok(())
            }
            Behaviour::Drip => {
                write!(stream, "HTTP/1.1 200 OK\r\nX-Filler: ")?;
                let kept_open = self.kept_open.lock().unwrap();
                while kept_open.recv_timeout(Duration::from_millis(20)) == Err(RecvTimeoutError::Timeout) {
                    stream.write_all(b"x")?;
                }
                Ok(())
            }
            Behaviour::Flood { status } => {
                write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", 1_usize << 30)?;
                let chunk = [b' '; 1 << 16];
                while self.bytes_flooded.load(Ordering::SeqCst) < 1 << 30 {
                    self.bytes_flooded.fetch_add(stream.write(&chunk)?, Ordering::SeqCst);
                }
                Ok(())
            }
            Behaviour::NoTls => Ok(()),
            Behaviour::Garbage => stream.write_all(b"\x00\x01 is this a telephone?\r\n\r\n"),
        }
    }
}

fn read_request(stream: &mut impl Read) -> std::io::Result<ReceivedRequest> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut head = line.clone();
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        head += &header;
        match header.trim_end() {
            "" => break,
            header => headers.push(header.to_owned()),
        }
    }
    headers.sort();
    let length = headers.iter().find_map(|header| header.strip_prefix("Content-Length: "));
    let mut body = vec![0; length.unwrap_or("0").parse().unwrap()];
    reader.read_exact(&mut body)?;
    Ok(ReceivedRequest {
        request_line: line.trim_end().to_owned(),
        headers,
        body: String::from_utf8(body).unwrap(),
        head,
    })
}
