//! No token and no private key is in any line that any crate logs, however verbose.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use tbot_cluster::method;
use tracing::Level;

use super::lab::{Lab, read};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

/// One thread: what is logged while the guard lives is all in one place.
#[tokio::test]
async fn no_token_and_no_key_is_logged() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _logged_here = tracing::subscriber::set_default(subscriber);

    let lab = Lab::new().await;
    let mut keys = Vec::new();
    lab.run_once(lab.config("20m", &[lab.output("out")])).await.unwrap();
    keys.extend([lab.storage(), lab.path("out")].map(|folder| read(&folder.join("key"))));
    lab.cluster.drop_reply(method::GENERATE_USER_CERTS);
    lab.run_once(lab.config("20m", &[lab.output("out")])).await.unwrap_err();
    lab.run_once(lab.config("20m", &[lab.output("out")])).await.unwrap();
    keys.push(read(&lab.path("out").join("key")));

    let text = lines.text();
    assert!(text.contains("INFO tbot::agent") && text.contains("ERROR tbot::agent"), "the agent was heard");
    assert!(!text.contains(&lab.token));
    for key in keys {
        // The first full line of the key's body.
        let body = key.lines().nth(1).unwrap();
        assert!(!text.contains(body), "{body}");
    }
}
