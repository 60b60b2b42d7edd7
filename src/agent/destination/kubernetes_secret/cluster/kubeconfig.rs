//! A kubeconfig, or a list of them, and what one of its contexts comes to. Reads files. What needs a program of the user's
//! to log in (`exec`), or is old, is refused by name.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{ClusterError, Found, Login, text};
use crate::agent::net::tls::{ClientPem, Trust};
use crate::yaml;

/// The files of a kubeconfig, as one: of two entries with one name the first counts.
#[derive(Default)]
pub(super) struct Merged {
    path: String,
    current_context: Option<String>,
    /// Each with the folder that its relative paths start from.
    clusters: Vec<(PathBuf, Named<ClusterEntry>)>,
    users: Vec<(PathBuf, Named<UserEntry>)>,
    contexts: Vec<Named<ContextEntry>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct File {
    current_context: Option<String>,
    clusters: Option<Vec<Named<ClusterEntry>>>,
    users: Option<Vec<Named<UserEntry>>>,
    contexts: Option<Vec<Named<ContextEntry>>>,
}

#[derive(Deserialize)]
struct Named<T> {
    name: String,
    #[serde(alias = "cluster", alias = "user", alias = "context")]
    entry: T,
}

#[derive(Deserialize)]
struct ContextEntry {
    cluster: String,
    user: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct ClusterEntry {
    server: String,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
    insecure_skip_tls_verify: bool,
    tls_server_name: Option<String>,
    proxy_url: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct UserEntry {
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    exec: Option<serde_json::Value>,
    auth_provider: Option<serde_json::Value>,
    username: Option<String>,
    #[serde(rename = "as")]
    acting_as: Option<String>,
}

impl Merged {
    pub(super) fn read(files: &[PathBuf]) -> Result<Self, ClusterError> {
        let shown: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
        let mut merged = Self { path: shown.join(":"), ..Self::default() };
        for path in files {
            let File { current_context, clusters, users, contexts } = match text(path) {
                Ok(text) => parse(path, &text)?,
                // As kubectl does: a list may name files that are not there.
                Err(_) if files.len() > 1 && !path.exists() => continue,
                Err(error) => return Err(error),
            };
            let folder = path.parent().unwrap_or(Path::new("")).to_owned();
            let from = |entry| (folder.clone(), entry);
            merged.current_context =
                merged.current_context.or(current_context.filter(|context| !context.is_empty()));
            merged.clusters.extend(clusters.unwrap_or_default().into_iter().map(from));
            let from = |entry| (folder.clone(), entry);
            merged.users.extend(users.unwrap_or_default().into_iter().map(from));
            merged.contexts.extend(contexts.unwrap_or_default());
        }
        Ok(merged)
    }

    pub(super) fn choose(&self, context: Option<&str>) -> Result<Found, ClusterError> {
        let wanted = context
            .or(self.current_context.as_deref())
            .ok_or_else(|| self.wrong("it has no current-context: set one, or kubeconfig_context"))?;
        let named = |what: &str, name: &str| self.wrong(format!("it has no {what} {name}"));
        let context = self.contexts.iter().find(|entry| entry.name == wanted);
        let context = &context.ok_or_else(|| named("context", wanted))?.entry;
        let cluster = self.clusters.iter().find(|(_, entry)| entry.name == context.cluster);
        let (folder, cluster) = cluster.ok_or_else(|| named("cluster", &context.cluster))?;
        let (server, trust) = self.cluster(folder, cluster)?;
        let user = self.users.iter().find(|(_, entry)| entry.name == context.user);
        let (folder, user) = user.ok_or_else(|| named("user", &context.user))?;
        Ok(Found { server, trust, login: self.user(folder, user)? })
    }

    fn cluster(
        &self,
        folder: &Path,
        Named { name, entry }: &Named<ClusterEntry>,
    ) -> Result<(String, Trust), ClusterError> {
        for (key, is_set) in
            [("tls-server-name", entry.tls_server_name.is_some()), ("proxy-url", entry.proxy_url.is_some())]
        {
            if is_set {
                return Err(self.wrong(format!("cluster {name}: {key} is not supported: remove it")));
            }
        }
        if entry.server.is_empty() {
            return Err(self.wrong(format!("cluster {name} has no server")));
        }
        let path = entry.certificate_authority.as_deref();
        let authorities = self.inline_or_file(folder, entry.certificate_authority_data.as_deref(), path)?;
        let trust = match authorities {
            _ if entry.insecure_skip_tls_verify => Trust::AnyCertificate,
            Some(authorities) => Trust::Authorities(authorities),
            None => Trust::System,
        };
        Ok((entry.server.clone(), trust))
    }

    fn user(&self, folder: &Path, Named { name, entry }: &Named<UserEntry>) -> Result<Login, ClusterError> {
        for (key, is_set) in [
            ("exec", entry.exec.is_some()),
            ("auth-provider", entry.auth_provider.is_some()),
            ("username", entry.username.is_some()),
            ("as", entry.acting_as.is_some()),
        ] {
            if is_set {
                let problem =
                    format!("user {name}: {key} is not supported: use a token or a client certificate");
                return Err(self.wrong(problem));
            }
        }
        let certificate = self.inline_or_file(
            folder,
            entry.client_certificate_data.as_deref(),
            entry.client_certificate.as_deref(),
        )?;
        let key =
            self.inline_or_file(folder, entry.client_key_data.as_deref(), entry.client_key.as_deref())?;
        let certificate = match (certificate, key) {
            (Some(certificates), Some(key)) => Some(ClientPem { certificates, key }),
            (None, None) => None,
            _ => return Err(self.wrong(format!("user {name} has only one of client certificate and key"))),
        };
        let token = match &entry.token_file {
            Some(path) => Some(text(&folder.join(path))?),
            None => entry.token.clone(),
        };
        Ok(Login { certificate, token: token.filter(|token| !token.is_empty()) })
    }

    fn inline_or_file(
        &self,
        folder: &Path,
        data: Option<&str>,
        path: Option<&Path>,
    ) -> Result<Option<String>, ClusterError> {
        let Some(data) = data.filter(|data| !data.is_empty()) else {
            return path.map(|path| text(&folder.join(path))).transpose();
        };
        let decoded = STANDARD.decode(data).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        decoded.map(Some).ok_or_else(|| self.wrong("a value ending in -data is not base64 of PEM"))
    }

    fn wrong(&self, problem: impl Into<String>) -> ClusterError {
        ClusterError::Kubeconfig { path: self.path.clone(), problem: problem.into() }
    }
}

fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, ClusterError> {
    let wrong = |problem: &str| ClusterError::Kubeconfig {
        path: path.display().to_string(),
        problem: problem.to_owned(),
    };
    // What is wrong with it is not said in detail: it holds credentials.
    let parsed = yaml::parse(text).map_err(|_| wrong("this is no YAML"))?;
    serde_json::from_value(parsed.value).map_err(|_| wrong("this is no kubeconfig"))
}
