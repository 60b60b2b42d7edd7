//! Reads a kubeconfig, or a list of them, and resolves one of its contexts.
//!
//! Refuses login methods that run another program (`exec`) or are deprecated, with an error that names the method.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::parameters::{
    ClusterCredentials, ConnectionParameters, KubeconfigProblem, KubernetesClusterError, read_file,
};
use crate::agent::net::tls::{ClientPem, KubernetesTrust};
use crate::yaml;

/// One or more kubeconfig files, merged. Of two entries with the same name, the first one is used.
#[derive(Default)]
pub(super) struct MergedKubeconfig {
    /// The paths of all files, joined by colons, for errors.
    paths: String,
    current_context: Option<String>,
    /// Each with the directory that its relative paths start from.
    clusters: Vec<(PathBuf, NamedEntry<ClusterEntry>)>,
    users: Vec<(PathBuf, NamedEntry<UserEntry>)>,
    contexts: Vec<NamedEntry<ContextEntry>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct KubeconfigFile {
    current_context: Option<String>,
    clusters: Option<Vec<NamedEntry<ClusterEntry>>>,
    users: Option<Vec<NamedEntry<UserEntry>>>,
    contexts: Option<Vec<NamedEntry<ContextEntry>>>,
}

#[derive(Deserialize)]
struct NamedEntry<T> {
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
    impersonate: Option<String>,
}

impl MergedKubeconfig {
    pub(super) fn read(files: &[PathBuf]) -> Result<Self, KubernetesClusterError> {
        let paths: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
        let mut merged = Self { paths: paths.join(":"), ..Self::default() };
        for path in files {
            let file = match read_file(path) {
                Ok(content) => parse(path, &content)?,
                // Like kubectl, which allows files of a list to be missing.
                Err(_) if files.len() > 1 && !path.exists() => continue,
                Err(error) => return Err(error),
            };
            let KubeconfigFile { current_context, clusters, users, contexts } = file;
            let directory = path.parent().unwrap_or(Path::new(""));
            merged.current_context =
                merged.current_context.or(current_context.filter(|context| !context.is_empty()));
            let clusters = clusters.unwrap_or_default().into_iter();
            merged.clusters.extend(clusters.map(|cluster| (directory.to_owned(), cluster)));
            let users = users.unwrap_or_default().into_iter();
            merged.users.extend(users.map(|user| (directory.to_owned(), user)));
            merged.contexts.extend(contexts.unwrap_or_default());
        }
        Ok(merged)
    }

    /// Returns the connection parameters of `context`, or of the current context.
    pub(super) fn parameters(
        &self,
        context: Option<&str>,
    ) -> Result<ConnectionParameters, KubernetesClusterError> {
        let context = context
            .or(self.current_context.as_deref())
            .ok_or_else(|| self.error(KubeconfigProblem::NoCurrentContext))?;
        let missing = |entry_type: &'static str, name: &str| {
            self.error(KubeconfigProblem::Missing { entry_type, name: name.to_owned() })
        };
        let entry = self.contexts.iter().find(|entry| entry.name == context);
        let context = &entry.ok_or_else(|| missing("context", context))?.entry;
        let cluster = self.clusters.iter().find(|(_, entry)| entry.name == context.cluster);
        let (directory, cluster) = cluster.ok_or_else(|| missing("cluster", &context.cluster))?;
        let (server, trust) = self.server(directory, cluster)?;
        let user = self.users.iter().find(|(_, entry)| entry.name == context.user);
        let (directory, user) = user.ok_or_else(|| missing("user", &context.user))?;
        Ok(ConnectionParameters { server, trust, credentials: self.credentials(directory, user)? })
    }

    /// Returns the address of a cluster, and which certificates to trust.
    fn server(
        &self,
        directory: &Path,
        NamedEntry { name, entry }: &NamedEntry<ClusterEntry>,
    ) -> Result<(String, KubernetesTrust), KubernetesClusterError> {
        for (key, is_set) in
            [("tls-server-name", entry.tls_server_name.is_some()), ("proxy-url", entry.proxy_url.is_some())]
        {
            if is_set {
                let cluster = name.clone();
                return Err(self.error(KubeconfigProblem::UnsupportedConnection { cluster, key }));
            }
        }
        if entry.server.is_empty() {
            return Err(self.error(KubeconfigProblem::NoServer(name.clone())));
        }
        let path = entry.certificate_authority.as_deref();
        let authorities =
            self.inline_or_file(directory, entry.certificate_authority_data.as_deref(), path)?;
        let trust = match authorities {
            _ if entry.insecure_skip_tls_verify => KubernetesTrust::AnyCertificate,
            Some(authorities) => KubernetesTrust::Authorities(authorities),
            None => KubernetesTrust::System,
        };
        Ok((entry.server.clone(), trust))
    }

    fn credentials(
        &self,
        directory: &Path,
        NamedEntry { name, entry }: &NamedEntry<UserEntry>,
    ) -> Result<ClusterCredentials, KubernetesClusterError> {
        for (key, is_set) in [
            ("exec", entry.exec.is_some()),
            ("auth-provider", entry.auth_provider.is_some()),
            ("username", entry.username.is_some()),
            ("as", entry.impersonate.is_some()),
        ] {
            if is_set {
                let user = name.clone();
                return Err(self.error(KubeconfigProblem::UnsupportedLogin { user, key }));
            }
        }
        let certificate = self.inline_or_file(
            directory,
            entry.client_certificate_data.as_deref(),
            entry.client_certificate.as_deref(),
        )?;
        let key =
            self.inline_or_file(directory, entry.client_key_data.as_deref(), entry.client_key.as_deref())?;
        let certificate = match (certificate, key) {
            (Some(certificates), Some(key)) => Some(ClientPem { certificates, key }),
            (None, None) => None,
            _ => return Err(self.error(KubeconfigProblem::IncompleteCertificate(name.clone()))),
        };
        let token = match &entry.token_file {
            Some(path) => Some(read_file(&directory.join(path))?),
            None => entry.token.clone(),
        };
        Ok(ClusterCredentials { certificate, token: token.filter(|token| !token.is_empty()) })
    }

    /// Returns the value of a `-data` key, decoded, or else the content of the file, if either is set.
    fn inline_or_file(
        &self,
        directory: &Path,
        data: Option<&str>,
        path: Option<&Path>,
    ) -> Result<Option<String>, KubernetesClusterError> {
        let Some(data) = data.filter(|data| !data.is_empty()) else {
            return path.map(|path| read_file(&directory.join(path))).transpose();
        };
        // Like kubectl, this accepts line breaks.
        let decoded = STANDARD
            .decode(data.replace(['\r', '\n'], ""))
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok());
        decoded.map(Some).ok_or_else(|| self.error(KubeconfigProblem::InvalidData))
    }

    fn error(&self, problem: KubeconfigProblem) -> KubernetesClusterError {
        KubernetesClusterError::Kubeconfig { path: self.paths.clone(), problem }
    }
}

fn parse<T: DeserializeOwned>(path: &Path, content: &str) -> Result<T, KubernetesClusterError> {
    // Without the parser's message, which could quote a credential.
    let failed = |problem| KubernetesClusterError::Kubeconfig { path: path.display().to_string(), problem };
    let parsed = yaml::parse(content).map_err(|_| failed(KubeconfigProblem::NotYaml))?;
    serde_json::from_value(parsed.value).map_err(|_| failed(KubeconfigProblem::NotKubeconfig))
}
