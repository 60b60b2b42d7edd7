//! A client of yaml-language-server that does what an editor does: it speaks LSP over standard input and output.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::tools::{repository_file, tool};

/// The line with which a file selects the schema, as in `docs/configuration.md`.
pub(crate) const SCHEMA_COMMENT: &str = "# yaml-language-server: $schema=tbot.schema.json\n";

/// A running server, and the directory of the files that are open in the editor.
pub(crate) struct LanguageServer {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    directory: TempDir,
    requests: u64,
    documents: u64,
    /// The notifications that were received and not yet read.
    notifications: Vec<Value>,
}

impl LanguageServer {
    /// Starts the server in a directory with the given schema of this repository.
    pub(crate) fn start(schema: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::copy(repository_file(schema), directory.path().join("tbot.schema.json")).unwrap();
        let mut process = Command::new("node")
            .arg(tool("node_modules/yaml-language-server/bin/yaml-language-server"))
            .arg("--stdio")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run node: {error}"));
        let (input, output) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        let notifications = Vec::new();
        let mut server = Self { process, input, output, directory, requests: 0, documents: 0, notifications };
        let capabilities = json!({
            "workspace": { "configuration": true },
            "textDocument": { "hover": { "contentFormat": ["markdown"] } },
        });
        server.request(
            "initialize",
            &json!({ "processId": null, "rootUri": null, "capabilities": capabilities }),
        );
        server.notify("initialized", &json!({}));
        server.notify("workspace/didChangeConfiguration", &json!({ "settings": {} }));
        server
    }

    /// Opens a file, and returns its URI.
    pub(crate) fn open(&mut self, text: &str) -> String {
        self.documents += 1;
        let path = self.directory.path().join(format!("{}.yaml", self.documents));
        let uri = format!("file://{}", path.display());
        let document = json!({ "uri": uri, "languageId": "yaml", "version": 1, "text": text });
        self.notify("textDocument/didOpen", &json!({ "textDocument": document }));
        uri
    }

    /// Returns the diagnostics of an open file.
    pub(crate) fn diagnostics(&mut self, uri: &str) -> Vec<Value> {
        loop {
            let is_published = |message: &Value| {
                message["method"] == "textDocument/publishDiagnostics" && message["params"]["uri"] == uri
            };
            if let Some(published) = self.notifications.iter().find(|message| is_published(message)) {
                return published["params"]["diagnostics"].as_array().unwrap().clone();
            }
            let message = self.receive();
            self.handle(message);
        }
    }

    /// Sends a request about a position in a file, and returns the result.
    pub(crate) fn at_position(&mut self, method: &str, uri: &str, line: usize, character: usize) -> Value {
        let position = json!({ "line": line, "character": character });
        self.request(method, &json!({ "textDocument": { "uri": uri }, "position": position }))
    }

    fn request(&mut self, method: &str, parameters: &Value) -> Value {
        self.requests += 1;
        let id = self.requests;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": parameters }));
        loop {
            let message = self.receive();
            if message["id"] == id && message.get("method").is_none() {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].clone();
            }
            self.handle(message);
        }
    }

    fn notify(&mut self, method: &str, parameters: &Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": parameters }));
    }

    /// Responds to a request of the server, and keeps a notification.
    fn handle(&mut self, message: Value) {
        let Some(id) = message.get("id") else { return self.notifications.push(message) };
        let settings = |item: &Value| match item["section"].as_str() {
            // Schemas from the network would make the result depend on it.
            Some("yaml") => json!({
                "validate": true,
                "hover": true,
                "completion": true,
                "schemaStore": { "enable": false },
                "kubernetesCRDStore": { "enable": false },
            }),
            _ => json!({}),
        };
        let result = match message["params"]["items"].as_array() {
            Some(items) => items.iter().map(settings).collect(),
            None => Value::Null,
        };
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "result": result }));
    }

    fn send(&mut self, message: &Value) {
        let body = message.to_string();
        write!(self.input, "Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        self.input.flush().unwrap();
    }

    fn receive(&mut self) -> Value {
        let mut length = None;
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "the language server ended");
            match line.trim_end().split_once(": ") {
                Some(("Content-Length", value)) => length = Some(value.parse().unwrap()),
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length.unwrap()];
        self.output.read_exact(&mut body).unwrap();
        serde_json::from_slice(&body).unwrap()
    }
}

impl Drop for LanguageServer {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}
