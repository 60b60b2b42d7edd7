//! Environment variables: what they do to a run, and that docs/configuration.md has every one of them, and every flag.

use std::collections::BTreeSet;
use std::path::Path;

use regex::Regex;
use tbot_cluster::{Cluster, ClusterConfig, clock};

use super::run::{CLOSED, Telemetry, tbot};

fn page() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md")).unwrap()
}

#[test]
fn every_flag_of_start_is_documented() {
    let ended = tbot(Telemetry::Nowhere, &["start", "--help"]).end();
    let page = page();
    let flags = Regex::new(r"--[a-z][a-z-]+").unwrap();
    let flags: BTreeSet<&str> = flags.find_iter(&ended.stdout).map(|flag| flag.as_str()).collect();
    assert!(flags.contains("--proxy-server"), "{}", ended.stdout);
    for flag in flags.into_iter().filter(|flag| *flag != "--help") {
        assert!(page.contains(&format!("`{flag}`")), "{flag} is not in docs/configuration.md");
    }
}

#[test]
fn every_variable_that_the_source_names_is_documented() {
    let page = page();
    let variable = Regex::new(r#""(_?[A-Z]+(_[A-Z0-9]+)+)""#).unwrap();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut found = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let names = variable.captures_iter(&text).map(|captures| captures[1].to_owned());
                // Of the build, of the wire, and what is set for tsh.
                let others = ["CARGO_", "RUN_MODE_", "TSH_VIRTUAL_PATH_"];
                found.extend(names.filter(|name| !others.iter().any(|other| name.starts_with(other))));
            }
        }
    }
    assert!(found.contains("TELEPORT_PROXY"), "{found:?}");
    for name in found {
        assert!(page.contains(&format!("`{name}`")), "{name} is not in docs/configuration.md");
    }
}

#[test]
fn a_variable_replaces_its_own_property_only() {
    let file = "version: v2\nonboarding: {join_method: github}\nproxy_server: 127.0.0.1:1\n";
    let ended = tbot(Telemetry::Default, &["telemetry", "preview"])
        .envs(&[("TBOT_CONFIG_PATH", "tbot.yaml"), ("TELEPORT_BOT_TOKEN", "a"), ("TELEPORT_PROXY", CLOSED)])
        .file("tbot.yaml", file)
        .end();
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    let shown = "join_type = github\n    tbot.yaml:2 (onboarding.join_method)\n";
    assert!(ended.stdout.contains(shown), "{}", ended.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_s_address_is_the_advertised_one_unless_the_configured_one_is_asked_for() {
    let cluster = Cluster::start(ClusterConfig::new(clock::system())).await.unwrap();
    let advertised = cluster.proxy_addr().to_string();
    let configured = format!("localhost:{}", cluster.proxy_addr().port());
    for (bot, variable, named, other) in
        [("a", "no", &advertised, &configured), ("b", "yes", &configured, &advertised)]
    {
        let token = cluster.add_bot(bot, &["access"]).unwrap();
        let arguments = ["start", "identity", "--destination", "out", "--oneshot", "--storage", "memory://"];
        let run = tbot(Telemetry::Nowhere, &[&arguments[..], &["--join-method", "token"]].concat())
            .envs(&[
                ("TELEPORT_PROXY", &configured),
                ("TELEPORT_BOT_TOKEN", &token),
                ("TBOT_USE_PROXY_ADDR", variable),
            ])
            .file("web-ca.pem", cluster.web_ca_pem());
        let roots = run.path().join("web-ca.pem");
        let ended = tokio::task::block_in_place(|| run.env("SSL_CERT_FILE", roots).end());
        assert_eq!(ended.status, Some(0), "{}", ended.stderr);
        let ssh_config = ended.left("out/ssh_config");
        assert!(ssh_config.contains(named.as_str()) && !ssh_config.contains(other.as_str()), "{ssh_config}");
    }
}
