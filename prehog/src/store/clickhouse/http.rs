//! A client of ClickHouse's HTTP interface: one request per statement. Depends on ureq, with rustls for TLS, and without a
//! proxy.

use std::io::{BufReader, Read};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::address::ClickHouseUrl;
use crate::store::backend::StoreError;

/// The timeout of a statement. A report over all data takes the longest.
pub(super) const QUERY_TIMEOUT: Duration = Duration::from_secs(60);
/// The timeout of establishing a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The timeout of an insert, and of every other statement that a sender waits for.
pub(super) const INSERT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an idle connection is reused. The server closes it after 3 seconds.
const MAX_IDLE: Duration = Duration::from_secs(2);
/// The maximum length of an error message, in characters.
const MAX_ERROR_LEN: usize = 300;

/// The code of the error if not all servers of a cluster run a statement in time.
pub(super) const TIMEOUT_EXCEEDED: u32 = 159;
/// The code of the error if another insert into the same table waits for its quorum. Old versions allow only one at a time.
const UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE: u32 = 286;
/// How long an insert waits before it tries again after this error.
const QUORUM_PAUSE: Duration = Duration::from_millis(20);

/// The database that exists on every server.
const DEFAULT_DATABASE: &str = "default";

/// A setting of a statement: the name and the value.
pub(super) type Setting = (&'static str, String);

/// Trusts the root certificates of the system, or those that the variables `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
#[expect(clippy::disallowed_methods, reason = "the operator of a receiver sets the variables of the process")]
fn tls_config() -> Result<TlsConfig, StoreError> {
    // Fails if it is already installed.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let roots = rustls_native_certs::load_native_certs();
    if roots.certs.is_empty() {
        let problem = roots.errors.first().map_or_else(String::new, |error| format!(": {error}"));
        return Err(StoreError::NoRootCertificates(problem));
    }
    let roots: Vec<Certificate<'static>> =
        roots.certs.iter().map(|root| Certificate::from_der(root).to_owned()).collect();
    Ok(TlsConfig::builder().root_certs(RootCerts::Specific(roots.into())).build())
}

pub(super) struct Http {
    agent: ureq::Agent,
    base: String,
    database: String,
    /// The name and the password.
    credentials: Option<(String, String)>,
    /// The settings of every statement.
    settings: Vec<Setting>,
    /// The timeout of a statement, unless it has its own.
    timeout: Duration,
}

impl Http {
    /// Returns a client of the server at a URL. Statements have a timeout, but inserts and probes never wait for longer than
    /// a sender does.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection needs TLS and no root certificate can be read.
    pub(super) fn new(address: &ClickHouseUrl, timeout: Duration) -> Result<Self, StoreError> {
        let url = &address.server;
        let decode = |part: &str| percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned();
        let credentials = (!url.username().is_empty())
            .then(|| (decode(url.username()), decode(url.password().unwrap_or_default())));
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or_default();
        let tls = if url.scheme() == "https" { tls_config()? } else { TlsConfig::default() };
        let agent = ureq::Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .max_idle_age(MAX_IDLE)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .build()
            .new_agent();
        Ok(Self {
            agent,
            base: format!("{}://{host}:{port}/", url.scheme()),
            database: address.database().to_owned(),
            credentials,
            settings: Vec::new(),
            timeout,
        })
    }

    /// Returns a client that uses these settings for every statement.
    pub(super) fn with_settings(self, settings: Vec<Setting>) -> Self {
        Self { settings, ..self }
    }

    /// Runs a statement that works without the database of the store.
    pub(super) fn run_in_default_database(&self, statement: &str) -> Result<(), StoreError> {
        read_to_end(self.send(DEFAULT_DATABASE, "", statement, self.timeout)?)
    }

    /// Queries a system table, and returns all of its rows. The database of the store need not exist.
    pub(super) fn system_rows<T: DeserializeOwned>(&self, statement: &str) -> Result<Vec<T>, StoreError> {
        parse_rows(self.query_in(DEFAULT_DATABASE, statement)?)
    }

    /// Runs a statement and discards its result.
    pub(super) fn run(&self, statement: &str) -> Result<(), StoreError> {
        read_to_end(self.query(statement)?)
    }

    /// Runs a query that a sender waits for, and discards its result.
    pub(super) fn probe(&self, query: &str) -> Result<(), StoreError> {
        read_to_end(self.send(&self.database, "", query, INSERT_TIMEOUT)?)
    }

    /// Inserts rows, given as one JSON object per line.
    pub(super) fn insert(&self, table: &str, rows: &str) -> Result<(), StoreError> {
        let statement = format!("INSERT INTO {table} FORMAT JSONEachRow");
        read_to_end(self.send(&self.database, &statement, rows, INSERT_TIMEOUT)?)
    }

    /// Runs a query and returns its result: one JSON object per line.
    pub(super) fn query(&self, statement: &str) -> Result<BufReader<impl Read + use<>>, StoreError> {
        self.query_in(&self.database, statement)
    }

    fn query_in(&self, database: &str, statement: &str) -> Result<BufReader<impl Read + use<>>, StoreError> {
        let is_query = statement.trim_start().starts_with("SELECT");
        let format = if is_query { " FORMAT JSONEachRow" } else { "" };
        self.send(database, "", &format!("{statement}{format}"), self.timeout).map(BufReader::new)
    }

    /// Runs a query and returns all of its rows.
    pub(super) fn rows<T: DeserializeOwned>(&self, statement: &str) -> Result<Vec<T>, StoreError> {
        parse_rows(self.query(statement)?)
    }

    /// Sends a statement until no other insert waits for its quorum. Repeating it is harmless: part of it may be stored.
    #[expect(
        clippy::disallowed_methods,
        reason = "the server does not tell when the other insert has its quorum"
    )]
    fn send(
        &self,
        database: &str,
        statement: &str,
        body: &str,
        timeout: Duration,
    ) -> Result<impl Read + use<>, StoreError> {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.send_once(database, statement, body, left) {
                Err(StoreError::Rejected { code: UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE, .. })
                    if left > 2 * QUORUM_PAUSE =>
                {
                    std::thread::sleep(QUORUM_PAUSE);
                }
                result => return result,
            }
        }
    }

    fn send_once(
        &self,
        database: &str,
        statement: &str,
        body: &str,
        timeout: Duration,
    ) -> Result<impl Read + use<>, StoreError> {
        let mut request = self
            .agent
            .post(&self.base)
            .query("database", database)
            // Without this, an error may follow half of a result.
            .query("wait_end_of_query", "1")
            .query_pairs(self.settings.iter().map(|(name, value)| (*name, value)))
            .config()
            .timeout_global(Some(timeout))
            .build();
        if !statement.is_empty() {
            request = request.query("query", statement);
        }
        if let Some((user, password)) = &self.credentials {
            request = request.header("X-ClickHouse-User", user).header("X-ClickHouse-Key", password);
        }
        let response = request.send(body).map_err(|error| StoreError::Unreachable(error.to_string()))?;
        let status = response.status();
        let mut body = response.into_body().into_reader();
        if status.is_success() {
            return Ok(body);
        }
        let mut message = String::new();
        // If reading fails, the beginning of the message is enough.
        let _ = body.by_ref().take(4096).read_to_string(&mut message);
        let message = without_input(&message);
        Err(StoreError::Rejected {
            code: error_code(message),
            message: message.chars().take(MAX_ERROR_LEN).collect(),
        })
    }
}

/// Returns the part of a message before the input that it quotes: a row, which must not be logged.
fn without_input(message: &str) -> &str {
    let marks = [" before: ", "(while ", "(at row", "parsed text"];
    let end = marks.iter().filter_map(|mark| message.find(mark)).min();
    message[..end.unwrap_or(message.len())].trim()
}

/// Returns the code at the beginning of a message, such as `Code: 60. DB::Exception`, or 0 if there is none.
fn error_code(message: &str) -> u32 {
    let rest = message.strip_prefix("Code: ").unwrap_or_default();
    let digits = rest.split(|char: char| !char.is_ascii_digit()).next();
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

fn parse_rows<T: DeserializeOwned>(response: impl Read) -> Result<Vec<T>, StoreError> {
    let rows = serde_json::Deserializer::from_reader(response).into_iter::<T>();
    rows.collect::<Result<_, _>>().map_err(|error| match error.is_io() {
        true => StoreError::Unreachable(error.to_string()),
        false => StoreError::UnexpectedData(error.to_string()),
    })
}

/// Reads a response to its end: only then has the statement succeeded.
fn read_to_end(mut response: impl Read) -> Result<(), StoreError> {
    std::io::copy(&mut response, &mut std::io::sink())
        .map_err(|error| StoreError::Unreachable(error.to_string()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message that quotes a row, in the form of ClickHouse, and one that does not.
    #[test]
    fn the_message_of_a_rejected_batch_contains_no_row() {
        for (message, expected) in [
            (
                "Code: 27. DB::Exception: Cannot parse input: expected '\"' before: '.162\",\"version\":\"1.2.3\"}': (while \
                 reading the value of key day): (at row 4)",
                "Code: 27. DB::Exception: Cannot parse input: expected '\"'",
            ),
            (
                "Code: 60. DB::Exception: Table a.b does not exist",
                "Code: 60. DB::Exception: Table a.b does not exist",
            ),
        ] {
            assert_eq!(without_input(message), expected);
        }
    }
}
