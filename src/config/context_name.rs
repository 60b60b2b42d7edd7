//! Templates for the names of kubeconfig contexts. Depends on `go_template` and the services for Kubernetes.

use super::go_template::{self, Token};
use super::scalar::Setting;
use super::service::KubernetesV2Service;

const DEFAULT_CONTEXT_NAME: &str = "{{.ClusterName}}-{{.KubeName}}";

/// A template for context names: a Go template that may use `{{.ClusterName}}` and `{{.KubeName}}` only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextName(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    ClusterName,
    KubeName,
}

impl ContextName {
    /// Returns the template of a service, or the default template. Returns `None` if the template uses anything but the
    /// two names.
    pub fn of_service(service: &KubernetesV2Service) -> Option<Self> {
        let template = service.context_name_template.as_ref().map(Setting::as_str);
        Self::parse(template.filter(|template| !template.is_empty()).unwrap_or(DEFAULT_CONTEXT_NAME))
    }

    /// Parses a template. Returns `None` if it uses anything but the two names.
    fn parse(template: &str) -> Option<Self> {
        let pieces = go_template::split(template).ok()?.into_iter().map(|piece| match piece {
            go_template::Piece::Text(text) => Some(Piece::Literal(text.to_owned())),
            go_template::Piece::Action(tokens) => match tokens.as_slice() {
                [Token::Fields("ClusterName")] => Some(Piece::ClusterName),
                [Token::Fields("KubeName")] => Some(Piece::KubeName),
                _ => None,
            },
        });
        pieces.collect::<Option<_>>().map(Self)
    }

    /// Returns the name of the context for a Kubernetes cluster.
    #[must_use]
    pub fn render(&self, cluster: &str, kubernetes: &str) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Literal(literal) => literal.clone(),
            Piece::ClusterName => cluster.to_owned(),
            Piece::KubeName => kubernetes.to_owned(),
        };
        self.0.iter().map(piece).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_may_use_the_two_names_only() {
        let name = |template| ContextName::parse(template).map(|name| name.render("root", "eks"));
        assert_eq!(name("{{.ClusterName}}-{{.KubeName}}").as_deref(), Some("root-eks"));
        assert_eq!(name("k {{ .KubeName }}!").as_deref(), Some("k eks!"));
        assert_eq!(name("k- {{- .KubeName -}} {{/* none */}}!").as_deref(), Some("k-eks!"));
        assert_eq!(name("{{.Labels.env}}"), None);
        assert_eq!(name("{{print .KubeName}}"), None);
        assert_eq!(name("{{.KubeName"), None);
    }
}
