//! `kubeconfig.yaml`: Kubernetes clusters behind a proxy, and the credentials for them. Pure.
//!
//! Written by hand in the order of the Go agent's file, because nothing here ever reads YAML.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::agent::credential::authority::Authority;
use crate::agent::credential::x509;
use crate::config;

const DEFAULT_CONTEXT_NAME: &str = "{{.ClusterName}}-{{.KubeName}}";

/// What stands in the file. One user reaches every cluster.
pub(super) struct Kubeconfig {
    /// Base64 of the PEM of the authorities that the proxy's certificate is verified against.
    pub(super) authority_data: String,
    /// The name to verify it against, where it is not the server's.
    pub(super) tls_server_name: Option<String>,
    /// The first one is current.
    pub(super) clusters: Vec<Cluster>,
    pub(super) user: String,
    pub(super) credentials: User,
}

/// A cluster and its context, which share a name.
pub(super) struct Cluster {
    pub(super) name: String,
    /// `https://…`
    pub(super) server: String,
    pub(super) namespace: Option<String>,
}

/// How the user shows who it is.
pub(super) enum User {
    /// By running `command kube credentials --destination-dir=folder`.
    Exec { command: String, folder: String },
    /// With what stands in the file itself, in PEM.
    Embedded { certificate: String, key: String },
}

impl Kubeconfig {
    pub(super) fn render(&self) -> String {
        let mut text = String::from("apiVersion: v1\n");
        // Writing to a String cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let user = scalar(&self.user);
        text.push_str(if self.clusters.is_empty() { "clusters: []\n" } else { "clusters:\n" });
        for cluster in &self.clusters {
            writeln!(text, "- cluster:\n    certificate-authority-data: {}", self.authority_data)?;
            writeln!(text, "    server: {}", scalar(&cluster.server))?;
            if let Some(name) = &self.tls_server_name {
                writeln!(text, "    tls-server-name: {}", scalar(name))?;
            }
            writeln!(text, "  name: {}", scalar(&cluster.name))?;
        }
        text.push_str(if self.clusters.is_empty() { "contexts: []\n" } else { "contexts:\n" });
        for cluster in &self.clusters {
            let name = scalar(&cluster.name);
            writeln!(text, "- context:\n    cluster: {name}")?;
            if let Some(namespace) = &cluster.namespace {
                writeln!(text, "    namespace: {}", scalar(namespace))?;
            }
            writeln!(text, "    user: {user}\n  name: {name}")?;
        }
        let current = self.clusters.first().map_or("", |cluster| &cluster.name);
        writeln!(text, "current-context: {}\nkind: Config\npreferences: {{}}", scalar(current))?;
        writeln!(text, "users:\n- name: {user}\n  user:")?;
        match &self.credentials {
            User::Exec { command, folder } => {
                let folder = scalar(&format!("--destination-dir={folder}"));
                writeln!(text, "    exec:\n      apiVersion: client.authentication.k8s.io/v1beta1")?;
                writeln!(text, "      args:\n      - kube\n      - credentials\n      - {folder}")?;
                writeln!(text, "      command: {}", scalar(command))?;
                writeln!(text, "      env: null\n      provideClusterInfo: false")
            }
            User::Embedded { certificate, key } => {
                writeln!(text, "    client-certificate-data: {}", STANDARD.encode(certificate))?;
                writeln!(text, "    client-key-data: {}", STANDARD.encode(key))
            }
        }
    }
}

/// The host authorities of the root cluster, which issued the proxy's certificate for Kubernetes: not those of leaves.
pub(super) fn authority_data(host: &[Authority], root: &str) -> String {
    let all = host.iter().flat_map(|authority| &authority.tls);
    let of_root: Vec<&str> = all
        .filter(|pem| x509::subject_common_name(pem).as_deref() == Some(root))
        .map(String::as_str)
        .collect();
    STANDARD.encode(of_root.join("\n"))
}

/// A YAML scalar: plain where that cannot be misread, else in double quotes, whose escapes are those of JSON.
fn scalar(text: &str) -> String {
    let ordinary = |c: char| c.is_ascii_alphanumeric() || "/._-:@=".contains(c);
    let first = text.chars().next();
    let is_plain = text.chars().all(ordinary)
        && !text.ends_with(':')
        && (first.is_some_and(|c| c.is_ascii_alphabetic() || c == '/') || text.starts_with("--"))
        && !is_word_of_yaml(text);
    if is_plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

fn is_word_of_yaml(text: &str) -> bool {
    ["y", "n", "yes", "no", "on", "off", "true", "false", "null"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word))
}

/// How a context is named: text with `{{.ClusterName}}` and `{{.KubeName}}` in it, a part of Go's templates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContextName(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    ClusterName,
    KubeName,
}

impl ContextName {
    /// As a service says; `None` where that is more than is known here.
    pub(crate) fn of_service(service: &config::KubernetesV2) -> Option<Self> {
        let template = service.context_name_template.as_ref().map(config::Setting::as_str);
        Self::parse(template.filter(|template| !template.is_empty()).unwrap_or(DEFAULT_CONTEXT_NAME))
    }

    /// `None` for a template that asks for more than these two.
    pub(crate) fn parse(template: &str) -> Option<Self> {
        let mut pieces = Vec::new();
        let mut rest = template;
        while let Some((text, tail)) = rest.split_once("{{") {
            let (action, tail) = tail.split_once("}}")?;
            pieces.push(Piece::Text(text.to_owned()));
            pieces.push(match action.trim() {
                ".ClusterName" => Piece::ClusterName,
                ".KubeName" => Piece::KubeName,
                _ => return None,
            });
            rest = tail;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Some(Self(pieces))
    }

    pub(super) fn of(&self, root: &str, kubernetes: &str) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::ClusterName => root.to_owned(),
            Piece::KubeName => kubernetes.to_owned(),
        };
        self.0.iter().map(piece).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::recordings::{recorded, recorded_host_authority};

    fn recorded_config() -> Kubeconfig {
        let name = "dev.test-dev-kube".to_owned();
        Kubeconfig {
            authority_data: authority_data(&[recorded_host_authority()], "dev.test"),
            tls_server_name: Some("kube-teleport-proxy-alpn.teleport.cluster.local".to_owned()),
            clusters: vec![Cluster {
                name: name.clone(),
                server: "https://127.0.0.1:4080".to_owned(),
                namespace: None,
            }],
            user: name,
            credentials: User::Exec {
                command: "/usr/local/bin/tbot-go".to_owned(),
                folder: "/opt/machine-id/kube".to_owned(),
            },
        }
    }

    fn parsed(config: &Kubeconfig) -> serde_json::Value {
        crate::yaml::parse(&config.render()).unwrap().value
    }

    #[test]
    fn is_the_file_that_the_go_agent_wrote() {
        assert_eq!(recorded_config().render(), recorded("outputs/kube/kubeconfig.yaml"));
    }

    #[test]
    fn a_leafs_authorities_are_left_out() {
        assert_eq!(authority_data(&[recorded_host_authority()], "other.test"), "");
    }

    #[test]
    fn several_clusters_share_a_user_and_odd_names_are_quoted() {
        let mut config = recorded_config();
        for (name, namespace) in [("a b: {}", Some("apps")), ("yes", None)] {
            config.clusters.push(Cluster {
                name: name.to_owned(),
                server: "https://[::1]:443/#".to_owned(),
                namespace: namespace.map(str::to_owned),
            });
        }
        config.credentials = User::Embedded { certificate: "c".to_owned(), key: "k".to_owned() };
        let read = parsed(&config);
        assert_eq!(read["contexts"][1]["name"], "a b: {}");
        assert_eq!(read["contexts"][1]["context"]["namespace"], "apps");
        assert_eq!(read["contexts"][2]["context"]["cluster"], "yes");
        assert_eq!(read["clusters"][1]["cluster"]["server"], "https://[::1]:443/#");
        assert_eq!(read["users"][0]["user"]["client-key-data"], "aw==");
        assert_eq!(read["current-context"], "dev.test-dev-kube");
    }

    #[test]
    fn a_selector_that_finds_nothing_leaves_a_file_that_can_be_read() {
        let read = parsed(&Kubeconfig { clusters: Vec::new(), ..recorded_config() });
        assert_eq!((&read["contexts"], &read["current-context"]), (&serde_json::json!([]), &"".into()));
    }

    #[test]
    fn a_context_is_named_by_a_template() {
        let name = |template| ContextName::parse(template).map(|name| name.of("root", "eks"));
        assert_eq!(name("{{.ClusterName}}-{{.KubeName}}").as_deref(), Some("root-eks"));
        assert_eq!(name("k {{ .KubeName }}!").as_deref(), Some("k eks!"));
        assert_eq!(name("{{.Labels.env}}"), None);
        assert_eq!(name("{{.KubeName"), None);
    }
}
