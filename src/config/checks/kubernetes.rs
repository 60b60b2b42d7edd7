//! Kubernetes access: selectors, templates, Argo CD.

use super::{Findings, text};
use crate::config::{KubernetesArgoCd, KubernetesSelector, KubernetesV2, is_on};
use crate::diagnostic::{Code, Diagnostic, Target};
use crate::pointer::Pointer;

/// The variables of a context's or cluster's name.
const VARIABLES: [&str; 3] = ["ClusterName", "KubeName", "Labels"];

pub(super) fn check_v2(kubernetes: &KubernetesV2, place: &Pointer, findings: &mut Findings<'_>) {
    selectors(&kubernetes.selectors, place, findings);
    if let Some(template) = &kubernetes.context_name_template {
        check_template(template.as_str(), place.key("context_name_template"), findings);
    }
}

pub(super) fn check_argo_cd(argo: &KubernetesArgoCd, place: &Pointer, findings: &mut Findings<'_>) {
    selectors(&argo.selectors, place, findings);
    if let Some(template) = &argo.cluster_name_template {
        check_template(template.as_str(), place.key("cluster_name_template"), findings);
    }
    for (key, templates) in
        [("secret_labels", &argo.secret_labels), ("secret_annotations", &argo.secret_annotations)]
    {
        for (name, template) in templates.iter().flatten() {
            check_template(template.as_str(), place.key(key).key(name), findings);
        }
    }
    if let Some(prefix) = &argo.secret_name_prefix
        && !prefix.is_empty()
        && !text::is_dns_prefix(prefix.as_str())
    {
        findings.at(
            Code::InvalidKubernetesName,
            place.key("secret_name_prefix"),
            "no Kubernetes name can begin with this",
            "write lower-case letters, digits, `-` and `.`, with a letter or digit first",
        );
    }
    for (index, namespace) in argo.namespaces.iter().flatten().enumerate() {
        if !text::is_dns_label(namespace.as_str()) {
            findings.at(
                Code::InvalidKubernetesName,
                place.key("namespaces").index(index),
                "no Kubernetes namespace can have this name",
                "write lower-case letters, digits and `-`, with a letter or digit first and last",
            );
        }
    }
    if is_on(argo.cluster_resources) && argo.namespaces.as_ref().is_none_or(Vec::is_empty) {
        findings.report(
            Diagnostic::new(
                Code::RequiresOther,
                Target::Key(place.key("cluster_resources")),
                "`cluster_resources` goes only with `namespaces`",
            )
            .with_help("write `namespaces`, or remove it: without `namespaces` everything may be managed"),
        );
    }
}

fn selectors(selectors: &[KubernetesSelector], place: &Pointer, findings: &mut Findings<'_>) {
    let place = place.key("selectors");
    if selectors.is_empty() {
        findings.at(
            Code::EmptyValue,
            place.clone(),
            "no selector, so no Kubernetes cluster would ever be found",
            "write at least one entry with `name` or `labels`",
        );
    }
    for (index, selector) in selectors.iter().enumerate() {
        let name = selector.name.as_ref().is_some_and(|name| !name.is_empty());
        let labels = selector.labels.as_ref().is_some_and(|labels| !labels.is_empty());
        findings.exactly_one(&place.index(index), ("name", "labels"), (name, labels));
    }
}

fn check_template(template: &str, place: Pointer, findings: &mut Findings<'_>) {
    if let Some(mistake) = text::template_mistake(template, &VARIABLES) {
        findings.at(Code::InvalidTemplate, place, mistake, "such as `{{.ClusterName}}-{{.KubeName}}`");
    }
}
