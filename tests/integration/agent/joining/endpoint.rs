//! Somebody who issues identity tokens over HTTP, or fails to: on loopback, raw sockets, one request a connection.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: String,
    /// Path and query.
    pub(super) target: String,
    /// By name in lower case.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// What everybody who asks is answered.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// A status and a body.
    With(u16, String),
    /// Nothing, and the connection stays open.
    Never,
}

pub(super) struct Endpoint {
    pub(super) address: SocketAddr,
    answer: Arc<Mutex<Answer>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Endpoint {
    pub(super) fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let answer = Arc::new(Mutex::new(answer));
        let (seen, answers) = (Arc::clone(&asked), Arc::clone(&answer));
        std::thread::spawn(move || {
            let mut silent = Vec::new();
            for stream in listener.incoming().flatten() {
                // Who hangs up early is seen on the other side.
                let Ok(request) = read(&stream) else { continue };
                seen.lock().unwrap().push(request);
                let answer = answers.lock().unwrap().clone();
                match answer {
                    Answer::With(status, body) => {
                        let _ = write(stream, status, &body);
                    }
                    Answer::Never => silent.push(stream),
                }
            }
        });
        Self { address, answer, asked }
    }

    /// Answers so from now on.
    pub(super) fn now_answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(super) fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.address)
    }
}

fn read(stream: &TcpStream) -> std::io::Result<Asked> {
    let mut stream = BufReader::new(stream);
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
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Asked { method, target, headers, body: String::from_utf8_lossy(&body).into_owned() })
}

fn write(mut stream: TcpStream, status: u16, body: &str) -> std::io::Result<()> {
    let location = if status == 302 { "Location: /elsewhere\r\n" } else { "" };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} So\r\n{location}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )?;
    stream.flush()
}
