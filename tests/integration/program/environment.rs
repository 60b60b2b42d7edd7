//! Environment variables: their effect on a run, and their documentation together with that of the flags.

use std::collections::BTreeSet;
use std::path::Path;

use regex::Regex;
use tbot_cluster::{Cluster, ClusterConfig, clock};

use super::fixture::{CLOSED_PORT, Telemetry, tbot};
use super::preview::properties_of;

fn configuration_page() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md")).unwrap()
}

#[test]
fn every_flag_of_start_is_documented() {
    let finished = tbot(Telemetry::ClosedPort, &["start", "--help"]).run();
    let page = configuration_page();
    let flags = Regex::new(r"--[a-z][a-z-]+").unwrap();
    let flags: BTreeSet<&str> = flags.find_iter(&finished.stdout).map(|flag| flag.as_str()).collect();
    assert!(flags.contains("--proxy-server"), "{}", finished.stdout);
    for flag in flags.into_iter().filter(|flag| *flag != "--help") {
        assert!(
            page.contains(&format!("`{flag}`")),
            "describe {flag} in xtask/src/docs/configuration/flags.md, and run `cargo xtask docs`"
        );
    }
}

#[test]
fn every_variable_in_the_source_is_documented() {
    let page = configuration_page();
    let variable = Regex::new(r#""(_?[A-Z]+(_[A-Z0-9]+)+)""#).unwrap();
    let mut directories = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut found = BTreeSet::new();
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            // Generated messages contain the names of protobuf's constants.
            if path.is_dir() && !path.ends_with("generated") {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let source = std::fs::read_to_string(&path).unwrap();
                let names = variable.captures_iter(&source).map(|captures| captures[1].to_owned());
                // Not read by the program: variables of the build, values of the event, and variables that it sets for tsh.
                let others = ["CARGO_", "RUN_MODE_", "TSH_VIRTUAL_PATH_", "TELEPORT_KUBECONFIG"];
                found.extend(names.filter(|name| !others.iter().any(|other| name.starts_with(other))));
            }
        }
    }
    assert!(found.contains("TELEPORT_PROXY"), "{found:?}");
    for name in found {
        assert!(
            page.contains(&format!("`{name}`")),
            "describe {name} in xtask/src/docs/environment.rs, or in the `variables` of the join method, service type or \
             destination type that reads it, and run `cargo xtask docs`"
        );
    }
}

#[test]
fn a_variable_overrides_only_its_own_property() {
    let file = "version: v2\nonboarding: {join_method: github}\nproxy_server: 127.0.0.1:1\n";
    let finished = tbot(Telemetry::Default, &["telemetry", "preview"])
        .envs(&[
            ("TBOT_CONFIG_PATH", "tbot.yaml"),
            ("TELEPORT_BOT_TOKEN", "a"),
            ("TELEPORT_PROXY", CLOSED_PORT),
        ])
        .file("tbot.yaml", file)
        .run();
    assert_eq!(finished.status, Some(0), "{}", finished.stderr);
    let (value, origin) = properties_of(&finished)["join_type"];
    assert_eq!((value, origin), ("github", "tbot.yaml:2 (onboarding.join_method)"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tbot_use_proxy_addr_replaces_the_advertised_address_with_the_configured_one() {
    let cluster = Cluster::start(ClusterConfig::new(clock::system())).await.unwrap();
    let advertised = cluster.proxy_addr().to_string();
    let configured = format!("localhost:{}", cluster.proxy_addr().port());
    for (bot, variable, written, other) in
        [("a", "no", &advertised, &configured), ("b", "yes", &configured, &advertised)]
    {
        let token = cluster.add_bot(bot, &["access"]).unwrap();
        let arguments = ["start", "identity", "--destination", "out", "--oneshot", "--storage", "memory://"];
        let run = tbot(Telemetry::ClosedPort, &[&arguments[..], &["--join-method", "token"]].concat())
            .envs(&[
                ("TELEPORT_PROXY", &configured),
                ("TELEPORT_BOT_TOKEN", &token),
                ("TBOT_USE_PROXY_ADDR", variable),
            ])
            .trusting(&cluster);
        let finished = run.run_blocking();
        assert_eq!(finished.status, Some(0), "{}", finished.stderr);
        let ssh_config = finished.read_file("out/ssh_config");
        assert!(
            ssh_config.contains(written.as_str()) && !ssh_config.contains(other.as_str()),
            "{ssh_config}"
        );
    }
}
