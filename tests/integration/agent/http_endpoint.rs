//! A scripted HTTP endpoint on loopback, used in place of a CI system's token endpoint or a cloud's metadata service. Serves
//! one request per connection.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request that the endpoint received.
#[derive(Clone, Debug)]
pub(crate) struct HttpRequest {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// Values by lower-case name.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl HttpRequest {
    /// Reads a request. Its body has the length that `Content-Length` gives, or is empty.
    pub(super) fn read(stream: &mut impl BufRead) -> std::io::Result<Self> {
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
        Ok(Self { method, target, headers, body: String::from_utf8_lossy(&body).into_owned() })
    }

    /// Returns the value of a header, empty if it is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// What the endpoint does with a request.
#[derive(Clone)]
pub(crate) enum ScriptedResponse {
    /// Responds with this status and body.
    Fixed(u16, String),
    /// Never responds, and keeps the connection open.
    Never,
    /// Responds with the status and body that the function returns.
    Computed(Handler),
}

type Handler = Arc<dyn Fn(&HttpRequest) -> (u16, String) + Send + Sync>;

impl ScriptedResponse {
    pub(crate) fn from_fn(handler: impl Fn(&HttpRequest) -> (u16, String) + Send + Sync + 'static) -> Self {
        Self::Computed(Arc::new(handler))
    }
}

pub(crate) struct HttpEndpoint {
    pub(crate) address: SocketAddr,
    response: Arc<Mutex<ScriptedResponse>>,
    requests: Arc<Mutex<Vec<HttpRequest>>>,
}

impl HttpEndpoint {
    pub(crate) fn start(response: ScriptedResponse) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let endpoint = Self { address, response: Arc::new(Mutex::new(response)), requests: Arc::default() };
        let (response, requests) = (Arc::clone(&endpoint.response), Arc::clone(&endpoint.requests));
        std::thread::spawn(move || {
            let mut kept_open = Vec::new();
            for stream in listener.incoming().flatten() {
                // A client that hangs up reports the error itself, so errors are ignored here.
                let Ok(request) = HttpRequest::read(&mut BufReader::new(&stream)) else { continue };
                requests.lock().unwrap().push(request.clone());
                let response = response.lock().unwrap().clone();
                let (status, body) = match response {
                    ScriptedResponse::Fixed(status, body) => (status, body),
                    ScriptedResponse::Computed(handler) => handler(&request),
                    ScriptedResponse::Never => {
                        kept_open.push(stream);
                        continue;
                    }
                };
                let _ = respond(stream, status, &body);
            }
        });
        endpoint
    }

    /// Sets the response to requests from now on.
    pub(crate) fn set_response(&self, response: ScriptedResponse) {
        *self.response.lock().unwrap() = response;
    }

    /// The requests so far, in the order of arrival.
    pub(crate) fn requests(&self) -> Vec<HttpRequest> {
        self.requests.lock().unwrap().clone()
    }

    /// Returns the only request so far. Fails the test if there is not exactly one.
    pub(crate) fn only_request(&self) -> HttpRequest {
        let requests = self.requests();
        let [request] = &requests[..] else { panic!("{} requests: {requests:?}", requests.len()) };
        request.clone()
    }

    pub(crate) fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.address)
    }
}

fn respond(mut stream: TcpStream, status: u16, body: &str) -> std::io::Result<()> {
    let location = if status == 302 { "Location: /elsewhere\r\n" } else { "" };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} Status\r\n{location}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )?;
    stream.flush()
}
