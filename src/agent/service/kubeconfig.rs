//! Renders `kubeconfig.yaml`: Kubernetes clusters behind a proxy, and the credentials for them.
//!
//! Does not use a YAML library, so that the keys have the order of the Go agent's file.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::error::OutputError;
use crate::agent::credential::authority::CertAuthority;
use crate::agent::credential::x509;

/// The content of the file. All clusters share one user.
pub(super) struct Kubeconfig {
    /// The CAs to verify the proxy's certificate against: PEM in base64.
    pub(super) authority_data: String,
    /// The name to verify it against, if this is not the host of `server`.
    pub(super) tls_server_name: Option<String>,
    /// The clusters; the context of the first one is the current context.
    pub(super) clusters: Vec<KubeconfigCluster>,
    pub(super) user: String,
    pub(super) credentials: KubeconfigUser,
}

/// A cluster and its context, which have the same name.
pub(super) struct KubeconfigCluster {
    pub(super) name: String,
    /// `https://…`
    pub(super) server: String,
    pub(super) namespace: Option<String>,
}

/// How the user authenticates.
pub(super) enum KubeconfigUser {
    /// Runs `command kube credentials --destination-dir=directory`.
    Exec { command: String, directory: String },
    /// Uses the credentials in the kubeconfig, in PEM.
    Embedded { certificate: String, key: String },
}

impl Kubeconfig {
    pub(super) fn render(&self) -> String {
        let mut yaml = String::from("apiVersion: v1\n");
        // Writing to a `String` cannot fail.
        let _ = self.write(&mut yaml);
        yaml
    }

    fn write(&self, yaml: &mut String) -> std::fmt::Result {
        let user = scalar(&self.user);
        yaml.push_str(if self.clusters.is_empty() { "clusters: []\n" } else { "clusters:\n" });
        for cluster in &self.clusters {
            writeln!(yaml, "- cluster:\n    certificate-authority-data: {}", self.authority_data)?;
            writeln!(yaml, "    server: {}", scalar(&cluster.server))?;
            if let Some(name) = &self.tls_server_name {
                writeln!(yaml, "    tls-server-name: {}", scalar(name))?;
            }
            writeln!(yaml, "  name: {}", scalar(&cluster.name))?;
        }
        yaml.push_str(if self.clusters.is_empty() { "contexts: []\n" } else { "contexts:\n" });
        for cluster in &self.clusters {
            let name = scalar(&cluster.name);
            writeln!(yaml, "- context:\n    cluster: {name}")?;
            if let Some(namespace) = &cluster.namespace {
                writeln!(yaml, "    namespace: {}", scalar(namespace))?;
            }
            writeln!(yaml, "    user: {user}\n  name: {name}")?;
        }
        let current = self.clusters.first().map_or("", |cluster| &cluster.name);
        writeln!(yaml, "current-context: {}\nkind: Config\npreferences: {{}}", scalar(current))?;
        writeln!(yaml, "users:\n- name: {user}\n  user:")?;
        match &self.credentials {
            KubeconfigUser::Exec { command, directory } => {
                let directory = scalar(&format!("--destination-dir={directory}"));
                writeln!(yaml, "    exec:\n      apiVersion: client.authentication.k8s.io/v1beta1")?;
                writeln!(yaml, "      args:\n      - kube\n      - credentials\n      - {directory}")?;
                writeln!(yaml, "      command: {}", scalar(command))?;
                writeln!(yaml, "      env: null\n      provideClusterInfo: false")
            }
            KubeconfigUser::Embedded { certificate, key } => {
                writeln!(yaml, "    client-certificate-data: {}", STANDARD.encode(certificate))?;
                writeln!(yaml, "    client-key-data: {}", STANDARD.encode(key))
            }
        }
    }
}

/// Returns the root cluster's host CAs, in PEM and base64, because one of them issued the proxy's certificate for
/// Kubernetes. Omits those of leaf clusters.
///
/// # Errors
///
/// Returns an error if there is none: with an empty list, clients would trust the system's root certificates instead.
pub(super) fn authority_data(host_cas: &[CertAuthority], root: &str) -> Result<String, OutputError> {
    let all = host_cas.iter().flat_map(|ca| &ca.tls);
    let of_root: Vec<&str> = all
        .filter(|pem| x509::subject_common_name(pem).as_deref() == Some(root))
        .map(String::as_str)
        .collect();
    if of_root.is_empty() {
        return Err(OutputError::NoHostAuthority(root.to_owned()));
    }
    Ok(STANDARD.encode(of_root.join("\n")))
}

/// Returns a YAML scalar: plain if this is unambiguous, else in double quotes with JSON's escapes.
fn scalar(value: &str) -> String {
    let ordinary = |c: char| c.is_ascii_alphanumeric() || "/._-:@=".contains(c);
    let first = value.chars().next();
    let is_plain = value.chars().all(ordinary)
        && !value.ends_with(':')
        && (first.is_some_and(|c| c.is_ascii_alphabetic() || c == '/') || value.starts_with("--"))
        && !is_yaml_keyword(value);
    if is_plain { value.to_owned() } else { serde_json::Value::from(value).to_string() }
}

fn is_yaml_keyword(value: &str) -> bool {
    ["y", "n", "yes", "no", "on", "off", "true", "false", "null"]
        .iter()
        .any(|keyword| value.eq_ignore_ascii_case(keyword))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::recordings::{recorded, recorded_host_authority};

    fn recorded_config() -> Kubeconfig {
        let name = "dev.test-dev-kube".to_owned();
        Kubeconfig {
            authority_data: authority_data(&[recorded_host_authority()], "dev.test").unwrap(),
            tls_server_name: Some("kube-teleport-proxy-alpn.teleport.cluster.local".to_owned()),
            clusters: vec![KubeconfigCluster {
                name: name.clone(),
                server: "https://127.0.0.1:4080".to_owned(),
                namespace: None,
            }],
            user: name,
            credentials: KubeconfigUser::Exec {
                command: "/usr/local/bin/tbot-go".to_owned(),
                directory: "/opt/machine-id/kube".to_owned(),
            },
        }
    }

    fn parsed(config: &Kubeconfig) -> serde_json::Value {
        crate::yaml::parse(&config.render()).unwrap().value
    }

    #[test]
    fn the_file_matches_the_recording() {
        assert_eq!(recorded_config().render(), recorded("outputs/kube/kubeconfig.yaml"));
    }

    #[test]
    fn the_cas_of_leaf_clusters_are_omitted() {
        let error = authority_data(&[recorded_host_authority()], "other.test").unwrap_err();
        assert!(
            matches!(&error, OutputError::NoHostAuthority(cluster) if cluster == "other.test"),
            "{error:?}"
        );
    }

    #[test]
    fn several_clusters_share_a_user_and_unusual_names_are_quoted() {
        let mut config = recorded_config();
        for (name, namespace) in [("a b: {}", Some("apps")), ("yes", None)] {
            config.clusters.push(KubeconfigCluster {
                name: name.to_owned(),
                server: "https://[::1]:443/#".to_owned(),
                namespace: namespace.map(str::to_owned),
            });
        }
        config.credentials = KubeconfigUser::Embedded { certificate: "c".to_owned(), key: "k".to_owned() };
        let read = parsed(&config);
        assert_eq!(read["contexts"][1]["name"], "a b: {}");
        assert_eq!(read["contexts"][1]["context"]["namespace"], "apps");
        assert_eq!(read["contexts"][2]["context"]["cluster"], "yes");
        assert_eq!(read["clusters"][1]["cluster"]["server"], "https://[::1]:443/#");
        assert_eq!(read["users"][0]["user"]["client-key-data"], "aw==");
        assert_eq!(read["current-context"], "dev.test-dev-kube");
    }

    #[test]
    fn a_kubeconfig_without_clusters_is_valid() {
        let read = parsed(&Kubeconfig { clusters: Vec::new(), ..recorded_config() });
        assert_eq!((&read["contexts"], &read["current-context"]), (&serde_json::json!([]), &"".into()));
    }
}
