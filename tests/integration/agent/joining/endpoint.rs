//! Somebody who is asked for a proof over HTTP, or fails to give one: on loopback, raw sockets, one request a connection.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// By name in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// What everybody who asks is answered.
#[derive(Clone)]
pub(crate) enum Answer {
    /// A status and a body.
    With(u16, String),
    /// Nothing, and the connection stays open.
    Never,
    /// What this makes of the request: a status and a body.
    By(Responder),
}

type Responder = Arc<dyn Fn(&Asked) -> (u16, String) + Send + Sync>;

impl Answer {
    pub(crate) fn by(answer: impl Fn(&Asked) -> (u16, String) + Send + Sync + 'static) -> Self {
        Self::By(Arc::new(answer))
    }
}

pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    answer: Arc<Mutex<Answer>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Endpoint {
    pub(crate) fn start(answer: Answer) -> Self {
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
                seen.lock().unwrap().push(request.clone());
                let answer = answers.lock().unwrap().clone();
                match answer {
                    Answer::With(status, body) => {
                        let _ = write(stream, status, &body);
                    }
                    Answer::By(answer) => {
                        let (status, body) = answer(&request);
                        let _ = write(stream, status, &body);
                    }
                    Answer::Never => silent.push(stream),
                }
            }
        });
        Self { address, answer, asked }
    }

    /// Answers so from now on.
    pub(crate) fn now_answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn url(&self, target: &str) -> String {
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
