//! Checks the services for Kubernetes access: selectors, templates, Argo CD.

use super::findings::Findings;
use super::formats;
use super::templates::{Variable, template_problem};
use crate::config::scalar::{OptionalString as _, is_on};
use crate::config::service::{KubernetesArgoCdService, KubernetesSelector, KubernetesV2Service};
use crate::diagnostic::{Code, Diagnostic, Target};
use crate::pointer::Pointer;

/// The variables of the templates for context and cluster names.
const VARIABLES: [Variable; 3] = [
    Variable { name: "ClusterName", is_map: false },
    Variable { name: "KubeName", is_map: false },
    Variable { name: "Labels", is_map: true },
];

pub(super) fn check_v2(kubernetes: &KubernetesV2Service, pointer: &Pointer, findings: &mut Findings<'_>) {
    check_selectors(&kubernetes.selectors, pointer, findings);
    if let Some(template) = &kubernetes.context_name_template {
        check_template(template.as_str(), pointer.key("context_name_template"), findings);
    }
}

pub(super) fn check_argo_cd(argo: &KubernetesArgoCdService, pointer: &Pointer, findings: &mut Findings<'_>) {
    check_selectors(&argo.selectors, pointer, findings);
    if let Some(template) = &argo.cluster_name_template {
        check_template(template.as_str(), pointer.key("cluster_name_template"), findings);
    }
    for (key, templates) in
        [("secret_labels", &argo.secret_labels), ("secret_annotations", &argo.secret_annotations)]
    {
        for (name, template) in templates.iter().flatten() {
            check_template(template.as_str(), pointer.key(key).key(name), findings);
        }
    }
    if let Some(prefix) = &argo.secret_name_prefix
        && !prefix.is_empty()
        && !formats::is_dns_prefix(prefix.as_str())
    {
        findings.report_value(
            Code::InvalidKubernetesName,
            pointer.key("secret_name_prefix"),
            "not a valid prefix of a Kubernetes name",
            "use lowercase letters, digits, `-` and `.`, and begin with a letter or digit",
        );
    }
    for (index, namespace) in argo.namespaces.iter().flatten().enumerate() {
        if !formats::is_dns_label(namespace.as_str()) {
            findings.report_value(
                Code::InvalidKubernetesName,
                pointer.key("namespaces").index(index),
                "not a valid Kubernetes namespace",
                "use lowercase letters, digits and `-`, and begin and end with a letter or digit",
            );
        }
    }
    if is_on(argo.cluster_resources) && argo.namespaces.as_ref().is_none_or(Vec::is_empty) {
        findings.report(
            Diagnostic::new(
                Code::RequiresOther,
                Target::Key(pointer.key("cluster_resources")),
                "`cluster_resources` requires `namespaces`",
            )
            .with_help("set `namespaces`, or remove `cluster_resources`: without `namespaces`, everything is managed"),
        );
    }
}

fn check_selectors(selectors: &[KubernetesSelector], pointer: &Pointer, findings: &mut Findings<'_>) {
    let pointer = pointer.key("selectors");
    if selectors.is_empty() {
        findings.report_value(
            Code::EmptyValue,
            pointer.clone(),
            "without a selector, no Kubernetes cluster matches",
            "write at least one entry with `name` or `labels`",
        );
    }
    for (index, selector) in selectors.iter().enumerate() {
        let has_name = selector.name.nonempty().is_some();
        let has_labels = selector.labels.as_ref().is_some_and(|labels| !labels.is_empty());
        findings.require_exactly_one(pointer.index(index), &[("name", has_name), ("labels", has_labels)]);
        if let Some(name) = &selector.name {
            findings.check_exact_name(
                &pointer.index(index),
                "name",
                name,
                r#"write the whole name, or use `labels`: `{"*": "*"}` selects every cluster"#,
            );
        }
    }
}

fn check_template(template: &str, pointer: Pointer, findings: &mut Findings<'_>) {
    if let Some(problem) = template_problem(template, &VARIABLES) {
        findings.report_value(
            Code::InvalidTemplate,
            pointer,
            problem,
            "write a template such as `{{.ClusterName}}-{{.KubeName}}`",
        );
    }
}
