//! `cargo xtask sbom`: the crates that a program consists of, as CycloneDX.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use xtask_launcher::{print_line, root, shell};

/// Prints the bill of materials of `tbot`, or of the program that is named.
///
/// # Errors
///
/// Returns an error if an argument is unknown, or cargo fails.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let program = match arguments {
        [] => "tbot",
        [program @ ("tbot" | "prehog")] => program,
        other => bail!("unexpected arguments {other:?}; expected tbot or prehog"),
    };
    print_line(&serde_json::to_string_pretty(&bill_of_materials(program, None)?)?);
    Ok(())
}

/// A crate in the output of `cargo tree`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Crate {
    name: String,
    version: String,
    license: String,
}

/// Returns the bill of materials of a program on a platform, or else on this one.
///
/// # Errors
///
/// Returns an error if Cargo.lock cannot be read, or cargo fails.
pub(crate) fn bill_of_materials(program: &str, target: Option<&str>) -> Result<Value> {
    let lock = fs::read_to_string(root()?.join("Cargo.lock")).context("cannot read Cargo.lock")?;
    let checksums = checksums(&lock);
    let crates = linked_crates(program, target)?;
    let own = crates.iter().find(|linked| linked.name == program).context("cargo tree lacks the program")?;
    let components = crates.iter().filter(|linked| linked.name != program);
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": { "component": component(own, "application", &checksums) },
        "components": components.map(|linked| component(linked, "library", &checksums)).collect::<Vec<_>>(),
    }))
}

fn component(linked: &Crate, kind: &str, checksums: &BTreeMap<(String, String), String>) -> Value {
    let Crate { name, version, license } = linked;
    let reference = format!("{name}@{version}");
    let mut component = json!({ "type": kind, "bom-ref": reference, "name": name, "version": version });
    if !license.is_empty() {
        // Some crates still separate alternatives with a slash, which is not a valid expression.
        component["licenses"] = json!([{ "expression": license.replace('/', " OR ") }]);
    }
    // Members have neither. The purl of a crate refers to crates.io, where another project may have the same name.
    if let Some(checksum) = checksums.get(&(name.clone(), version.clone())) {
        component["purl"] = json!(format!("pkg:cargo/{reference}"));
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    component
}

/// Returns the crates that are linked into a program: neither macros, nor what only builds and tests need.
fn linked_crates(program: &str, target: Option<&str>) -> Result<BTreeSet<Crate>> {
    let mut command: Command =
        shell::parse("cargo tree --locked --edges normal,no-proc-macro --prefix none")?;
    command.args(["--package", program, "--format", "{p}|{l}"]);
    command.args(target.map(|target| format!("--target={target}")));
    let output = command.output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!("cargo tree failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let tree = String::from_utf8(output.stdout)?;
    tree.lines()
        .map(|line| {
            let (package, license) = line.split_once('|').with_context(|| format!("cannot read `{line}`"))?;
            let mut words = package.split(' ');
            let name = words.next().unwrap_or_default().to_owned();
            let version = words.next().unwrap_or_default().trim_start_matches('v').to_owned();
            Ok(Crate { name, version, license: license.trim_end_matches(" (*)").to_owned() })
        })
        .collect()
}

/// Returns the checksums of a Cargo.lock, by name and version. Members of the workspace have none.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let field = |package: &str, name: &str| {
        let line = package.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
        line.map(|value| value.trim_matches('"').to_owned())
    };
    let packages = lock.split("[[package]]").skip(1);
    packages
        .filter_map(|package| {
            Some(((field(package, "name")?, field(package, "version")?), field(package, "checksum")?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crate_of_the_registry_has_a_version_a_licence_a_checksum_and_a_purl() {
        let is_member = |component: &Value| component["name"] == "tbot" || component["name"] == "tbot-yaml";
        for program in ["tbot", "prehog"] {
            let bill = bill_of_materials(program, None).unwrap();
            assert_eq!(bill["metadata"]["component"]["name"], program);
            let components = bill["components"].as_array().unwrap();
            // On crates.io, `tbot` is a library for Telegram.
            let members = components.iter().filter(|component| is_member(component));
            for member in members.chain([&bill["metadata"]["component"]]) {
                assert_eq!((member.get("purl"), member.get("hashes")), (None, None), "{member}");
            }
            assert!(components.len() > 100, "{program}: {}", components.len());
            for component in components.iter().filter(|component| !is_member(component)) {
                assert!(
                    component["version"].as_str().unwrap().starts_with(|first: char| first.is_ascii_digit())
                );
                assert!(component["licenses"][0]["expression"].is_string(), "{component}");
                assert_eq!(component["hashes"][0]["content"].as_str().unwrap().len(), 64, "{component}");
                assert!(component["purl"].as_str().unwrap().starts_with("pkg:cargo/"), "{component}");
            }
        }
    }

    #[test]
    fn the_bill_names_what_is_linked_and_nothing_else() {
        let bill = bill_of_materials("tbot", Some("aarch64-unknown-linux-gnu")).unwrap();
        let names: Vec<&str> = bill["components"]
            .as_array()
            .unwrap()
            .iter()
            .map(|component| component["name"].as_str().unwrap())
            .collect();
        assert!(["rustls", "tonic", "serde_json"].iter().all(|linked| names.contains(linked)));
        assert!(
            ["serde_derive", "insta", "proptest", "tbot-cluster"].iter().all(|other| !names.contains(other))
        );
    }
}
