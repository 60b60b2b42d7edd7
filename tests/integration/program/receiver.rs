//! A telemetry endpoint of raw sockets on loopback, which behaves as it is told: well, badly, or not at all.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver as Channel, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a receiver does with every connection.
#[derive(Clone)]
pub(crate) enum Behaviour {
    /// Reads the request and answers with this status line, these headers and this body.
    Answer { status: &'static str, headers: String, body: &'static str },
    /// Reads the request and never answers.
    Silence,
    /// Reads the request and answers with a head that never ends, one byte at a time.
    Drip,
    /// Answers with this status and a body of 1 GB.
    Flood { status: &'static str },
    /// Answers with what is no HTTP.
    Garbage,
    /// Answers whatever comes first in plain HTTP, as a server without TLS does.
    Plain,
}

impl Behaviour {
    pub(crate) fn ok() -> Self {
        Self::answer("200 OK", "{}")
    }

    pub(crate) fn answer(status: &'static str, body: &'static str) -> Self {
        Self::Answer { status, headers: "Content-Type: application/json\r\n".to_owned(), body }
    }

    pub(crate) fn redirect(to: &Receiver) -> Self {
        let headers = format!("Location: {}/elsewhere\r\n", to.url());
        Self::Answer { status: "307 Temporary Redirect", headers, body: "" }
    }
}

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// Method, path and version.
    pub(crate) line: String,
    /// `Name: value`, sorted.
    pub(crate) headers: Vec<String>,
    pub(crate) body: String,
}

/// A listening endpoint. Dropping it closes all connections that it still holds.
pub(crate) struct Receiver {
    port: u16,
    shared: Arc<Shared>,
    _hold: Sender<()>,
}

struct Shared {
    connections: AtomicUsize,
    let_go: AtomicUsize,
    flooded: AtomicUsize,
    requests: Mutex<Vec<Recorded>>,
    arrived: Sender<()>,
    arrivals: Mutex<Channel<()>>,
    held: Mutex<Channel<()>>,
}

impl Receiver {
    pub(crate) fn new(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (hold, held) = mpsc::channel();
        let (arrived, arrivals) = mpsc::channel();
        let shared = Arc::new(Shared {
            connections: AtomicUsize::new(0),
            let_go: AtomicUsize::new(0),
            flooded: AtomicUsize::new(0),
            requests: Mutex::default(),
            arrived,
            arrivals: Mutex::new(arrivals),
            held: Mutex::new(held),
        });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                serving.connections.fetch_add(1, Ordering::SeqCst);
                let (shared, behaviour) = (Arc::clone(&serving), behaviour.clone());
                std::thread::spawn(move || {
                    // What goes wrong on the connection is the program's doing, and seen there.
                    let _ = shared.serve(stream.unwrap(), &behaviour);
                    shared.let_go.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Self { port, shared, _hold: hold }
    }

    pub(crate) fn ok() -> Self {
        Self::new(Behaviour::ok())
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The same port, where TLS is expected and not spoken.
    pub(crate) fn https_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// How many connections there have been.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many connections this side has ended.
    pub(crate) fn let_go(&self) -> usize {
        self.shared.let_go.load(Ordering::SeqCst)
    }

    /// How many bytes of a flood were taken.
    pub(crate) fn flooded(&self) -> usize {
        self.shared.flooded.load(Ordering::SeqCst)
    }

    /// Every request that was read to its end.
    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// Waits until a request has been read to its end.
    pub(crate) fn wait_for_request(&self) {
        self.shared.arrivals.lock().unwrap().recv_timeout(Duration::from_secs(30)).unwrap();
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream, behaviour: &Behaviour) -> std::io::Result<()> {
        if matches!(behaviour, Behaviour::Plain) {
            stream.read_exact(&mut [0])?;
            return stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }
        let recorded = read_request(&mut stream)?;
        self.requests.lock().unwrap().push(recorded);
        let _ = self.arrived.send(());
        match behaviour {
            Behaviour::Answer { status, headers, body } => {
                let length = body.len();
                write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n{body}")
            }
            Behaviour::Silence => {
                let _ = self.held.lock().unwrap().recv();
                Ok(())
            }
            Behaviour::Drip => {
                write!(stream, "HTTP/1.1 200 OK\r\nX-Filler: ")?;
                let held = self.held.lock().unwrap();
                while held.recv_timeout(Duration::from_millis(20)) == Err(RecvTimeoutError::Timeout) {
                    stream.write_all(b"x")?;
                }
                Ok(())
            }
            Behaviour::Flood { status } => {
                write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", 1_usize << 30)?;
                let chunk = [b' '; 1 << 16];
                while self.flooded.load(Ordering::SeqCst) < 1 << 30 {
                    self.flooded.fetch_add(stream.write(&chunk)?, Ordering::SeqCst);
                }
                Ok(())
            }
            Behaviour::Plain => Ok(()),
            Behaviour::Garbage => stream.write_all(b"\x00\x01 is this a telephone?\r\n\r\n"),
        }
    }
}

fn read_request(stream: &mut TcpStream) -> std::io::Result<Recorded> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        match header.trim_end() {
            "" => break,
            header => headers.push(header.to_owned()),
        }
    }
    headers.sort();
    let length = headers.iter().find_map(|header| header.strip_prefix("Content-Length: "));
    let mut body = vec![0; length.unwrap_or("0").parse().unwrap()];
    reader.read_exact(&mut body)?;
    Ok(Recorded { line: line.trim_end().to_owned(), headers, body: String::from_utf8(body).unwrap() })
}
