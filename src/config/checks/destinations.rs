//! Checks each destination by itself.

use super::findings::Findings;
use super::formats::{is_dns_label, is_dns_subdomain};
use crate::config::destination::{AclMode, Destination, KubernetesSecret, SymlinkMode};
use crate::config::scalar::OptionalString as _;
use crate::diagnostic::{Code, Target};
use crate::pointer::Pointer;

pub(super) fn check(destination: &Destination, pointer: &Pointer, findings: &mut Findings<'_>) {
    match destination {
        Destination::Directory(directory) => {
            findings.require_nonempty(pointer, "path", directory.path.as_str());
            check_for_uri(directory.path.as_str(), pointer, findings);
            let readers = directory.readers.as_deref().unwrap_or_default();
            for (index, reader) in readers.iter().enumerate() {
                findings.require_exactly_one(
                    pointer.key("readers").index(index),
                    &[("user", reader.user.is_some()), ("group", reader.group.is_some())],
                );
            }
            check_weak_settings(pointer, directory.symlinks, directory.acls, !readers.is_empty(), findings);
        }
        Destination::Memory(_) => {}
        Destination::KubernetesSecret(secret) => check_secret(secret, pointer, findings),
    }
}

/// Reports a URI, as flags such as `--destination` accept it.
fn check_for_uri(path: &str, pointer: &Pointer, findings: &mut Findings<'_>) {
    let Some((scheme, _)) = path.split_once("://") else { return };
    let help = match scheme {
        "file" => "write the path alone, without `file://`",
        "memory" => "write `{type: memory}` instead",
        "kubernetes-secret" => "write `{type: kubernetes_secret, name: <name>}` instead",
        _ if scheme.contains('/') => return,
        _ => "write the path of a directory",
    };
    let message =
        "this is a URI, so the agent would create a directory of that name in the working directory";
    findings.report_value(Code::PathIsUri, pointer.key("path"), message, help);
}

/// Reports settings that are weaker than the platform allows.
fn check_weak_settings(
    pointer: &Pointer,
    symlinks: Option<SymlinkMode>,
    acls: Option<AclMode>,
    has_readers: bool,
    findings: &mut Findings<'_>,
) {
    // On other platforms there are no stronger settings.
    if !cfg!(target_os = "linux") {
        return;
    }
    if symlinks == Some(SymlinkMode::Insecure) {
        findings.report_value(
            Code::WeakerThanPlatform,
            pointer.key("symlinks"),
            "anyone who can create a symbolic link in this path can redirect the credentials",
            "remove it to use the default, `try-secure`, or write `secure`",
        );
    }
    if acls == Some(AclMode::Off) {
        let message = if has_readers {
            "`readers` have no effect because the agent does not manage ACLs"
        } else {
            "the agent does not check ACLs, so it does not notice if they let other users read the files"
        };
        let help = "remove it to use the default, `try`, or write `required`";
        findings.report_value(Code::WeakerThanPlatform, pointer.key("acls"), message, help);
    }
}

fn check_secret(secret: &KubernetesSecret, pointer: &Pointer, findings: &mut Findings<'_>) {
    findings.require_nonempty(pointer, "name", secret.name.as_str());
    let namespace = secret.namespace.nonempty();
    let names = [
        (
            "name",
            Some(secret.name.as_str()).filter(|name| !name.is_empty()),
            is_dns_subdomain as fn(&str) -> bool,
        ),
        ("namespace", namespace, is_dns_label),
    ];
    for (key, name, is_valid) in names {
        if name.is_some_and(|name| !is_valid(name)) {
            findings.report_value(
                Code::InvalidKubernetesName,
                pointer.key(key),
                format!("not a valid Kubernetes `{key}`"),
                "use lowercase letters, digits and `-`, and begin and end with a letter or digit",
            );
        }
    }
    let process = findings.options().process.as_ref();
    if namespace.is_none() && process.is_some_and(|process| process.pod_namespace.is_none()) {
        findings.missing_unless(
            Code::MissingNamespace,
            Target::Value(pointer.clone()),
            "the namespace of the Secret",
            "the environment variable `POD_NAMESPACE`",
            "write `namespace: <name>`, or set `POD_NAMESPACE` (in a pod: fieldRef metadata.namespace)",
        );
    }
}
