//! A telemetry endpoint for the demo: takes requests on loopback, answers as the real one does, keeps what it read.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, anyhow};

/// The largest body that is read.
const LONGEST: usize = 16 * 1024;

/// An endpoint on a port of its own.
pub(super) struct Endpoint {
    address: SocketAddr,
    received: Arc<Mutex<Vec<String>>>,
    closing: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Endpoint {
    pub(super) fn open() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen on loopback")?;
        let address = listener.local_addr()?;
        let received = Arc::new(Mutex::new(Vec::new()));
        let closing = Arc::new(AtomicBool::new(false));
        let (log, closed) = (Arc::clone(&received), Arc::clone(&closing));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if closed.load(Ordering::SeqCst) {
                    return;
                }
                let request = answer(stream).unwrap_or_else(|error| format!("(not a request: {error})"));
                log.lock().unwrap_or_else(PoisonError::into_inner).push(request);
            }
        });
        Ok(Self { address, received, closing, thread })
    }

    pub(super) fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything that came, once nothing more can.
    pub(super) fn close(self) -> Vec<String> {
        self.closing.store(true, Ordering::SeqCst);
        // A connection of our own wakes the thread.
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.join();
        let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *received)
    }
}

fn answer(mut stream: TcpStream) -> Result<String> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut head = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || head.len() > LONGEST {
            return Err(anyhow!("no end of its headers"));
        }
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse::<usize>()?.min(LONGEST);
        }
        head += &line;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    stream.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
    )?;
    stream.shutdown(Shutdown::Write)?;
    Ok(format!("{head}\n{}", String::from_utf8_lossy(&body)))
}
