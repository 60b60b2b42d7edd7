//! A Secret in a Kubernetes cluster: read, and replaced by server-side apply. One I/O edge, plain REST.
//!
//! The whole set is one request, so that whoever reads the Secret sees one generation. The cluster, its authorities and
//! the credentials are read anew for each request: they are renewed under way.

mod cluster;

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

pub use cluster::ClusterError;
use cluster::{Cluster, Source};

use crate::agent::destination::atomic_write::NewFile;
use crate::agent::net::web::{self, WebError};
use crate::agent::platform::options::{Clock, Environment};
use crate::config;

/// Who is said to own what is applied; the Go agent's name, so that either can go on with the other's Secret.
const FIELD_MANAGER: &str = "tbot";
/// A pod that is told to end has half a minute, all in all.
const CALL: Duration = Duration::from_secs(10);

/// A Secret that could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum KubeError {
    /// The cluster and how to get there.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// No namespace is configured, and the environment has none.
    #[error(
        "the Secret {0} has no namespace: set namespace, or POD_NAMESPACE in the environment (fieldRef: metadata.namespace)"
    )]
    NoNamespace(String),
    /// The files do not go into a Secret.
    #[error("{secret} cannot hold {file}: a Secret has no sub-folders; use a directory for this output")]
    SubFolder {
        /// The Secret.
        secret: SecretName,
        /// The file.
        file: String,
    },
    /// No answer, or none that can be read.
    #[error("{request}: {detail}")]
    Failed {
        /// What was asked of whom.
        request: Box<SecretRequest>,
        /// What happened.
        detail: String,
    },
    /// The API server said no.
    #[error("{request}: {status}: {message}{hint}")]
    Refused {
        /// What was asked of whom.
        request: Box<SecretRequest>,
        /// HTTP status.
        status: StatusCode,
        /// The server's words.
        message: String,
        /// What to check, with a leading semicolon, or nothing.
        hint: &'static str,
    },
    /// The system gives no handles for a connection.
    #[error("cannot get ready to ask a Kubernetes cluster: {0}")]
    Runtime(std::io::Error),
}

/// `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretName {
    namespace: String,
    name: String,
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the Secret {}/{}", self.namespace, self.name)
    }
}

/// A request about a Secret, for errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRequest {
    method: &'static str,
    secret: SecretName,
    /// Base address of the API server.
    server: String,
}

impl fmt::Display for SecretRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} at {}", self.method, self.secret, self.server)
    }
}

/// A Secret, as it is configured. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Secret {
    name: SecretName,
    labels: BTreeMap<String, String>,
    source: Source,
    environment: Environment,
    clock: Clock,
}

/// What a Secret holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// Of this content; whoever sends it along replaces this content or none.
    pub(crate) version: String,
}

/// Whether what is applied is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Apply {
    Keep,
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

impl Secret {
    /// Settles where the Secret is. Reads nothing but the environment that it is given.
    pub(crate) fn new(
        secret: &config::KubernetesSecret,
        environment: &Environment,
        clock: &Clock,
    ) -> Result<Self, KubeError> {
        let name = secret.name.as_str().to_owned();
        let configured = secret.namespace.as_ref().map(|namespace| namespace.as_str());
        let namespace = configured.filter(|namespace| !namespace.is_empty());
        let Some(namespace) = namespace.or_else(|| environment.get("POD_NAMESPACE")) else {
            return Err(KubeError::NoNamespace(name));
        };
        let labels = secret.labels.iter().flatten();
        Ok(Self {
            name: SecretName { namespace: namespace.to_owned(), name },
            labels: labels.map(|(label, value)| (label.clone(), value.as_str().to_owned())).collect(),
            source: Source::new(secret, environment)?,
            environment: environment.clone(),
            clock: clock.clone(),
        })
    }

    pub(crate) fn name(&self) -> &SecretName {
        &self.name
    }

    /// What it holds; none where there is no such Secret.
    pub(crate) fn read(&self) -> Result<Option<Content>, KubeError> {
        let (status, object) = self.request(Method::GET, "", Vec::new())?;
        let Some(object) = object else { return Ok(None) };
        let decode = |(name, text): (String, String)| Some((name, STANDARD.decode(text).ok()?));
        let files = object.data.unwrap_or_default().into_iter().map(decode).collect::<Option<_>>();
        let files =
            files.ok_or_else(|| self.failed("GET", format!("{status}, but its data is not base64")))?;
        Ok(Some(Content { files, version: object.metadata.resource_version }))
    }

    /// Sees whether it could be written: the server checks everything and keeps nothing.
    pub(crate) fn test_write(&self) -> Result<(), KubeError> {
        self.apply(&BTreeMap::new(), None, Apply::DryRun).map(drop)
    }

    /// Replaces what this agent wrote before by these files, at once. With a version, only where it still is the
    /// Secret's. Answers the new version.
    pub(crate) fn write(
        &self,
        files: &BTreeMap<String, Vec<u8>>,
        version: Option<&str>,
    ) -> Result<String, KubeError> {
        if let Some(file) = files.keys().find(|file| file.contains('/')) {
            return Err(KubeError::SubFolder { secret: self.name.clone(), file: file.clone() });
        }
        self.apply(files, version, Apply::Keep)
    }

    fn apply(
        &self,
        files: &BTreeMap<String, Vec<u8>>,
        version: Option<&str>,
        apply: Apply,
    ) -> Result<String, KubeError> {
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
        // Forced, because a Secret that somebody made by hand is taken over on purpose.
        let dry_run = if apply == Apply::DryRun { "&dryRun=All" } else { "" };
        let query = format!("?fieldManager={FIELD_MANAGER}&force=true{dry_run}");
        match self.request(Method::PATCH, &query, object.to_string().into_bytes())? {
            (_, Some(object)) => Ok(object.metadata.resource_version),
            (status, None) => Err(self.failed("PATCH", status.to_string())),
        }
    }

    /// One request, waited for where blocking is allowed. No object where there is none (404 to GET).
    ///
    /// It has a runtime of its own, so that an agent that ends while a set is under way lets it come to its end.
    fn request(
        &self,
        method: Method,
        query: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Option<Object>), KubeError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
        let runtime = runtime.map_err(KubeError::Runtime)?;
        let verb = if method == Method::GET { "GET" } else { "PATCH" };
        let cluster = Cluster::read(&self.source, &self.environment, &self.clock)?;
        let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        let SecretName { namespace, name } = &self.name;
        let url = format!(
            "{}/api/v1/namespaces/{}/secrets/{}{query}",
            cluster.server,
            encoded(namespace),
            encoded(name)
        );
        let mut request = cluster.client.request(method, url).timeout(CALL);
        if let Some(token) = &cluster.token {
            request = request.header(AUTHORIZATION, token.header());
        }
        if !body.is_empty() {
            // JSON is YAML; this type is what makes a PATCH an apply.
            request = request.header(CONTENT_TYPE, "application/apply-patch+yaml").body(body);
        }
        let failed = |detail| self.failed_at(verb, &cluster.server, detail);
        let answer =
            runtime.block_on(web::send(request)).map_err(|error: WebError| failed(error.to_string()))?;
        match answer.status {
            StatusCode::OK | StatusCode::CREATED => {
                let object = serde_json::from_slice(&answer.body)
                    .map_err(|_| failed(format!("{}, but no object of Kubernetes", answer.status)))?;
                Ok((answer.status, Some(object)))
            }
            StatusCode::NOT_FOUND if verb == "GET" => Ok((answer.status, None)),
            status => Err(KubeError::Refused {
                request: self.asked(verb, &cluster.server),
                status,
                message: message(&answer.body),
                hint: hint(status),
            }),
        }
    }

    fn failed(&self, method: &'static str, detail: String) -> KubeError {
        self.failed_at(method, "the API server", detail)
    }

    fn failed_at(&self, method: &'static str, server: &str, detail: String) -> KubeError {
        KubeError::Failed { request: self.asked(method, server), detail }
    }

    fn asked(&self, method: &'static str, server: &str) -> Box<SecretRequest> {
        Box::new(SecretRequest { method, secret: self.name.clone(), server: server.to_owned() })
    }
}

impl KubeError {
    /// True when trying again may help by itself: an outage, or somebody else who changed the Secret in between.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Failed { .. } => true,
            Self::Refused { status, .. } => {
                *status == StatusCode::CONFLICT
                    || *status == StatusCode::TOO_MANY_REQUESTS
                    || status.is_server_error()
            }
            Self::Cluster(_) | Self::NoNamespace(_) | Self::SubFolder { .. } | Self::Runtime(_) => false,
        }
    }
}

/// Files as a Secret takes them.
pub(crate) fn content(files: Vec<NewFile>) -> BTreeMap<String, Vec<u8>> {
    files.into_iter().collect()
}

/// What the API server says is wrong: `Status.message`, or the start of whatever came.
fn message(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Status {
        message: String,
    }
    match serde_json::from_slice::<Status>(body) {
        Ok(status) => status.message,
        Err(_) => String::from_utf8_lossy(body).trim().chars().take(300).collect(),
    }
}

fn hint(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "; check the token or certificate that the agent presents",
        StatusCode::FORBIDDEN => {
            "; a role must let the agent get, create and patch secrets in this namespace"
        }
        StatusCode::NOT_FOUND => "; check that the namespace exists",
        StatusCode::CONFLICT => "; somebody else changes it: is another tbot running?",
        _ => "",
    }
}
