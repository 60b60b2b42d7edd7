//! Reads a Kubernetes Secret over REST, and replaces it with server-side apply.
//!
//! A file set is written with one request, so a client that reads the Secret sees one version of the set. The cluster's
//! address, its CAs and the credentials are read again for each request, because they may be renewed while the agent
//! runs.

mod cluster;
mod error;
mod kubeconfig;
mod parameters;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use cluster::{ClusterConfig, ClusterConnection};
pub use error::{KubernetesSecretError, SecretName, SecretRequest};
pub use parameters::{KubeconfigProblem, KubernetesClusterError};

use crate::agent::platform::{Clock, Environment, ServerMessage};
use crate::config;

/// The field manager of server-side apply. It is the Go agent's, so that either agent can update the other's Secret.
const FIELD_MANAGER: &str = "tbot";
/// A pod has 30 s to terminate by default, and a request must not use up all of it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads and writes one configured Secret. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct SecretClient {
    name: SecretName,
    labels: BTreeMap<String, String>,
    cluster: ClusterConfig,
    environment: Environment,
    clock: Clock,
}

/// The content of a Secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct SecretContent {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// The `resourceVersion` of this content. A write that names it fails if the content has changed since.
    pub(crate) version: String,
}

/// Shows the names of the files only.
impl fmt::Debug for SecretContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretContent")
            .field("files", &self.files.keys())
            .field("version", &self.version)
            .finish()
    }
}

/// Whether the API server stores the applied object.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ApplyMode {
    Persist,
    DryRun,
}

#[derive(Deserialize)]
struct Object {
    metadata: Metadata,
    #[serde(default)]
    data: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    resource_version: String,
}

impl SecretClient {
    /// Creates a client for a configured Secret. Performs no I/O.
    pub(crate) fn new(
        secret: &config::KubernetesSecret,
        environment: &Environment,
        clock: &Clock,
    ) -> Result<Self, KubernetesSecretError> {
        let name = secret.name.as_str().to_owned();
        let configured = secret.namespace.as_ref().map(|namespace| namespace.as_str());
        let namespace = configured.filter(|namespace| !namespace.is_empty());
        let Some(namespace) = namespace.or_else(|| environment.get("POD_NAMESPACE")) else {
            return Err(KubernetesSecretError::NoNamespace(name));
        };
        let labels = secret.labels.iter().flatten();
        Ok(Self {
            name: SecretName { namespace: namespace.to_owned(), name },
            labels: labels.map(|(label, value)| (label.clone(), value.as_str().to_owned())).collect(),
            cluster: ClusterConfig::new(secret, environment)?,
            environment: environment.clone(),
            clock: clock.clone(),
        })
    }

    pub(crate) fn name(&self) -> &SecretName {
        &self.name
    }

    /// Returns the content, or `None` if there is no such Secret.
    pub(crate) fn read(&self) -> Result<Option<SecretContent>, KubernetesSecretError> {
        let Some(object) = self.request(Method::GET, "", Vec::new())? else { return Ok(None) };
        let decode = |(name, data): (String, String)| Some((name, STANDARD.decode(data).ok()?));
        let files = object.data.unwrap_or_default().into_iter().map(decode).collect::<Option<_>>();
        let files = files.ok_or_else(|| self.malformed("GET", "its data is not base64"))?;
        Ok(Some(SecretContent { files, version: object.metadata.resource_version }))
    }

    /// Tests whether the Secret can be written, with a dry run: the server performs every check and changes nothing.
    pub(crate) fn test_write(&self) -> Result<(), KubernetesSecretError> {
        self.apply(&BTreeMap::new(), None, ApplyMode::DryRun).map(drop)
    }

    /// Replaces everything that the agent wrote before with these files, and returns the new version.
    ///
    /// # Errors
    ///
    /// Returns an error if `version` is given and is no longer the version of the Secret.
    pub(crate) fn write(
        &self,
        files: &BTreeMap<String, Vec<u8>>,
        version: Option<&str>,
    ) -> Result<String, KubernetesSecretError> {
        if let Some(file) = files.keys().find(|file| file.contains('/')) {
            return Err(KubernetesSecretError::Subdirectory {
                secret: self.name.clone(),
                file: file.clone(),
            });
        }
        self.apply(files, version, ApplyMode::Persist)
    }

    fn apply(
        &self,
        files: &BTreeMap<String, Vec<u8>>,
        version: Option<&str>,
        mode: ApplyMode,
    ) -> Result<String, KubernetesSecretError> {
        let data: BTreeMap<_, _> =
            files.iter().map(|(name, content)| (name, STANDARD.encode(content))).collect();
        let mut object = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": self.name.name, "namespace": self.name.namespace, "labels": self.labels },
            "type": "Opaque",
            "data": data,
        });
        if let Some(version) = version {
            object["metadata"]["resourceVersion"] = version.into();
        }
        // Forced, so that the agent takes over a Secret that a user created by hand.
        let dry_run = if mode == ApplyMode::DryRun { "&dryRun=All" } else { "" };
        let query = format!("?fieldManager={FIELD_MANAGER}&force=true{dry_run}");
        match self.request(Method::PATCH, &query, object.to_string().into_bytes())? {
            Some(object) => Ok(object.metadata.resource_version),
            None => Err(self.malformed("PATCH", "it is empty")),
        }
    }

    /// Sends one request and blocks until the response has arrived. Returns no object if a `GET` gets a 404.
    ///
    /// Uses a separate runtime, so that a write that is in progress completes while the agent shuts down.
    fn request(
        &self,
        method: Method,
        query: &str,
        body: Vec<u8>,
    ) -> Result<Option<Object>, KubernetesSecretError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
        let runtime = runtime.map_err(KubernetesSecretError::Runtime)?;
        let verb = if method == Method::GET { "GET" } else { "PATCH" };
        let cluster = ClusterConnection::new(&self.cluster, &self.environment, &self.clock)?;
        let encode = |segment| utf8_percent_encode(segment, NON_ALPHANUMERIC);
        let SecretName { namespace, name } = &self.name;
        let url = format!(
            "{}/api/v1/namespaces/{}/secrets/{}{query}",
            cluster.server,
            encode(namespace),
            encode(name)
        );
        let mut request = cluster.client.request(method, url).timeout(REQUEST_TIMEOUT);
        if let Some(token) = &cluster.token {
            request = request.header(AUTHORIZATION, token.header());
        }
        if !body.is_empty() {
            // JSON is valid YAML; this content type makes a PATCH a server-side apply.
            request = request.header(CONTENT_TYPE, "application/apply-patch+yaml").body(body);
        }
        let describe = || self.describe(verb, &cluster.shown_server);
        let response = runtime
            .block_on(cluster.client.send(request))
            .map_err(|error| KubernetesSecretError::NoResponse { request: describe(), error })?;
        match response.status {
            StatusCode::OK | StatusCode::CREATED => {
                let object = serde_json::from_slice(&response.body).map_err(|_| {
                    let problem = "it is not a Kubernetes object";
                    KubernetesSecretError::MalformedResponse { request: describe(), problem }
                })?;
                Ok(Some(object))
            }
            StatusCode::NOT_FOUND if verb == "GET" => Ok(None),
            status => Err(KubernetesSecretError::Refused {
                request: describe(),
                status: status.as_u16(),
                message: error_message(&response.body),
            }),
        }
    }

    fn malformed(&self, method: &'static str, problem: &'static str) -> KubernetesSecretError {
        let request = self.describe(method, "the API server");
        KubernetesSecretError::MalformedResponse { request, problem }
    }

    fn describe(&self, method: &'static str, server: &str) -> Box<SecretRequest> {
        Box::new(SecretRequest { method, secret: self.name.clone(), server: server.to_owned() })
    }
}

/// Returns the message of the `Status` object that the API server sent, or any other body.
fn error_message(body: &[u8]) -> ServerMessage {
    #[derive(Deserialize)]
    struct Status {
        message: String,
    }
    match serde_json::from_slice::<Status>(body) {
        Ok(status) => status.message.into(),
        Err(_) => String::from_utf8_lossy(body).trim().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_debug_output_of_a_secret_contains_no_file() {
        let files = BTreeMap::from([("key".to_owned(), b"hunter2".to_vec())]);
        let content = SecretContent { files, version: "1".to_owned() };
        assert_eq!(format!("{content:?}"), r#"SecretContent { files: ["key"], version: "1" }"#);
    }
}
