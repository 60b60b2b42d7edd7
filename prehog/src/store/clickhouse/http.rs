//! ClickHouse's HTTP interface: one request a statement. Depends on ureq, without TLS and without a proxy.

use std::io::{BufReader, Read};
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::store::StoreError;

/// How long a statement may take; a report over everything is the longest.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a server may take to accept a connection, and to answer an insert.
const SHORT: Duration = Duration::from_secs(5);
/// The server closes a connection that is idle for 3 seconds.
const IDLE: Duration = Duration::from_secs(2);
/// How much of an error's text is kept.
const LONGEST_ERROR: usize = 300;

pub(super) struct Http {
    agent: ureq::Agent,
    base: String,
    database: String,
    user: Option<(String, String)>,
}

impl Http {
    pub(super) fn new(url: &url::Url) -> Self {
        let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        let user = (!url.username().is_empty())
            .then(|| (decode(url.username()), decode(url.password().unwrap_or_default())));
        let database = url.path().trim_matches('/');
        let host = url.host_str().unwrap_or_default();
        let port = url.port().unwrap_or(8123);
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .max_idle_age(IDLE)
            .timeout_connect(Some(SHORT))
            .timeout_global(Some(PATIENCE))
            .build()
            .new_agent();
        Self {
            agent,
            base: format!("http://{host}:{port}/"),
            database: if database.is_empty() { "default".to_owned() } else { database.to_owned() },
            user,
        }
    }

    pub(super) fn create_database(&self) -> Result<(), StoreError> {
        let statement = format!("CREATE DATABASE IF NOT EXISTS {}", self.database);
        self.send("default", "", statement, SHORT).map(drop)
    }

    /// Runs a statement for its effect.
    pub(super) fn run(&self, statement: &str) -> Result<(), StoreError> {
        let mut answer = self.query(statement)?;
        // What it says is of no interest, but that it has come to its end is.
        std::io::copy(&mut answer, &mut std::io::sink())
            .map_err(|error| StoreError::Unreachable(error.to_string()))?;
        Ok(())
    }

    /// Inserts rows of JSON, one a line.
    pub(super) fn insert(&self, table: &str, rows: String) -> Result<(), StoreError> {
        let statement = format!("INSERT INTO {table} FORMAT JSONEachRow");
        let mut answer = self.send(&self.database, &statement, rows, SHORT)?;
        std::io::copy(&mut answer, &mut std::io::sink())
            .map_err(|error| StoreError::Unreachable(error.to_string()))?;
        Ok(())
    }

    /// Runs a query, and gives its answer: one JSON object a line.
    pub(super) fn query(&self, statement: &str) -> Result<BufReader<impl Read + use<>>, StoreError> {
        let is_query = statement.trim_start().starts_with("SELECT");
        let format = if is_query { " FORMAT JSONEachRow" } else { "" };
        self.send(&self.database, "", format!("{statement}{format}"), PATIENCE).map(BufReader::new)
    }

    /// All rows of a query.
    pub(super) fn rows<T: DeserializeOwned>(&self, statement: &str) -> Result<Vec<T>, StoreError> {
        let rows = serde_json::Deserializer::from_reader(self.query(statement)?).into_iter::<T>();
        rows.collect::<Result<_, _>>().map_err(|error| match error.is_io() {
            true => StoreError::Unreachable(error.to_string()),
            false => StoreError::Foreign(error.to_string()),
        })
    }

    fn send(
        &self,
        database: &str,
        statement: &str,
        body: String,
        patience: Duration,
    ) -> Result<impl Read + use<>, StoreError> {
        let mut request = self
            .agent
            .post(&self.base)
            .query("database", database)
            // The answer comes whole or as an error: without this, an error may follow half of an answer.
            .query("wait_end_of_query", "1")
            .config()
            .timeout_global(Some(patience))
            .build();
        if !statement.is_empty() {
            request = request.query("query", statement);
        }
        if let Some((user, password)) = &self.user {
            request = request.header("X-ClickHouse-User", user).header("X-ClickHouse-Key", password);
        }
        let answer = request.send(body).map_err(|error| StoreError::Unreachable(error.to_string()))?;
        let status = answer.status();
        let mut body = answer.into_body().into_reader();
        if status.is_success() {
            return Ok(body);
        }
        let mut text = String::new();
        // A text that is cut off says enough.
        let _ = body.by_ref().take(4096).read_to_string(&mut text);
        // The server's message names the statement's place; a row that it quotes must not reach a log.
        let text = text.split("(at row").next().unwrap_or_default().trim();
        Err(StoreError::Refused(text.chars().take(LONGEST_ERROR).collect()))
    }
}
