//! Measures how long it takes to validate a configuration and to build its event, by number of outputs. Both grow
//! linearly.

use std::fmt::Write as _;

use divan::{Bencher, counter::ItemsCount};
use tbot::config::{Purpose, load};
use tbot::event::BuildContext;
use tbot::event::internal::{Rules, build, request_body};
use tbot::yaml;

const OUTPUTS: [usize; 4] = [1, 10, 100, 10_000];

fn main() {
    divan::main();
}

/// Returns a configuration whose outputs alternate between four types.
fn configuration(outputs: usize) -> String {
    let mut config = String::from(
        "version: v2\nproxy_server: teleport.example.com:443\nonboarding: {join_method: token, token: abc}\nservices:\n",
    );
    for index in 0..outputs {
        let service = match index % 4 {
            0 => "type: identity",
            1 => "type: application\n    app_name: grafana",
            2 => "type: database\n    service: pg\n    username: app",
            _ => "type: kubernetes\n    kubernetes_cluster: prod",
        };
        let destination = format!("{{type: directory, path: /opt/machine-id/{index}}}");
        let _ = writeln!(config, "  - {service}\n    destination: {destination}\n    name: output-{index}");
    }
    config
}

/// From bytes to the effective configuration: YAML, types, and checks.
#[divan::bench(args = OUTPUTS)]
fn validate(bencher: Bencher<'_, '_>, outputs: usize) {
    let text = configuration(outputs);
    bencher.counter(ItemsCount::new(outputs)).bench(|| {
        let text = yaml::decode(divan::black_box(text.as_bytes())).map_err(|_| "not valid UTF-8")?;
        load(Some(text), &[], Purpose::Start).effective.ok_or("not valid")
    });
}

/// The same file with one unknown key per output. The schema is compiled and explains each of them.
#[divan::bench(args = OUTPUTS)]
fn explain_unknown_keys(bencher: Bencher<'_, '_>, outputs: usize) {
    let text = configuration(outputs).replace("    name:", "    nmae:");
    bencher
        .counter(ItemsCount::new(outputs))
        .bench(|| load(Some(divan::black_box(&text)), &[], Purpose::Start).diagnostics.len());
}

/// From the effective configuration to the event and the body of its request.
#[divan::bench(args = OUTPUTS)]
fn build_event(bencher: Bencher<'_, '_>, outputs: usize) {
    let text = configuration(outputs);
    let Some(effective) = load(Some(&text), &[], Purpose::Start).effective else { return };
    let Ok(rules) = Rules::embedded() else { return };
    bencher.counter(ItemsCount::new(outputs)).bench(|| {
        let context = BuildContext { version: "0.1.0", environment: &|_| None };
        let built = build(&rules, divan::black_box(effective.value()), context).ok()?;
        Some(request_body(&rules, &built.event, "00000000-0000-4000-8000-000000000000"))
    });
}

/// Reads the rules of the event from the embedded schema, which a process does once.
#[divan::bench]
fn read_rules() -> bool {
    Rules::embedded().is_ok()
}
