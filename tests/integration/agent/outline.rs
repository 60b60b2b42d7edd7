//! Outlines of credential files: what a file contains, without the values that differ between runs. With them, tests compare
//! our files with those that the Go agent wrote, which are in `tests/recordings`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use tbot::yaml;

use super::fixture::read;

/// File names, each with the sequence of PEM labels, SSH keys, `ssh_config` directives or YAML keys in the file.
type Outlines = BTreeMap<String, Vec<String>>;

/// The beginning of the names of the files for one cluster, which the recorded version of the Go agent did not write.
const OF_CLUSTER: &str = "dev.test.";

/// Returns the outlines of the files that readers of a directory use. Names that begin with a dot belong to the agent.
pub(crate) fn outlines(directory: &Path) -> Outlines {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let named = entries.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path));
    let files = named.filter(|(name, _)| !name.starts_with('.') && !name.starts_with(OF_CLUSTER));
    files.map(|(name, path)| (name, outline(&read(&path)))).collect()
}

/// Returns the outlines of the files that the Go agent wrote to the output `name`.
pub(crate) fn recorded_outlines(name: &str) -> Outlines {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings/teleport-15/outputs");
    let mut outlines = outlines(&Path::new(root).join(name));
    // The Go agent needs this directive because all of its keys are RSA.
    for outline in outlines.values_mut() {
        outline.retain(|line| line != "HostKeyAlgorithms");
    }
    outlines
}

/// Returns the names of the files that readers of a directory use, sorted.
pub(super) fn file_names(directory: &Path) -> Vec<String> {
    outlines(directory).into_keys().collect()
}

fn outline(text: &str) -> Vec<String> {
    if text.starts_with("apiVersion:") {
        let mut keys = Vec::new();
        collect_keys(&yaml::parse(text).unwrap().value, "", &mut keys);
        return keys;
    }
    text.lines().filter_map(|line| pem_label(line).or_else(|| describe_line(line))).collect()
}

fn pem_label(line: &str) -> Option<String> {
    let label = line.strip_prefix("-----BEGIN ")?.strip_suffix("-----")?;
    // The Go agent's keys are `RSA PRIVATE KEY`, ours are PKCS#8.
    Some(if label.ends_with("PRIVATE KEY") { "PRIVATE KEY" } else { label }.to_owned())
}

fn describe_line(line: &str) -> Option<String> {
    let mut words = line.split(' ');
    let first = words.next()?;
    match first {
        "@cert-authority" => Some("@cert-authority".to_owned()),
        _ if first.contains("-cert-v01@") => Some("certificate".to_owned()),
        _ if first.starts_with("ssh-") || first.starts_with("ecdsa-") => {
            Some(format!("key, {} more words", words.count()))
        }
        // The name of a directive of `ssh_config`.
        _ => line.starts_with("    ").then(|| line.split_whitespace().next().map(str::to_owned))?,
    }
}

fn collect_keys(value: &Value, prefix: &str, keys: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let key = format!("{prefix}/{key}");
                keys.push(key.clone());
                collect_keys(value, &key, keys);
            }
        }
        Value::Array(list) => list.iter().for_each(|item| collect_keys(item, prefix, keys)),
        _ => {}
    }
}
