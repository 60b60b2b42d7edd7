//! Measures how long it takes to validate a configuration and to build its event, by number of outputs. Both grow
//! linearly. `cargo bench --bench configuration -- slowest` prints which inputs take the longest.

use std::fmt::Write as _;
use std::time::Instant;

use divan::{Bencher, counter::ItemsCount};
use tbot::config::{Purpose, load};
use tbot::diagnostic::{Report, ReportFormat, SourceFile, Terminal, render};
use tbot::event::BuildContext;
use tbot::event::internal::{Rules, build, request_body};
use tbot::yaml;
use tbot_fuzz::{FAMILIES, MAX_INPUT};

const OUTPUTS: [usize; 4] = [1, 10, 100, 10_000];

fn main() {
    if std::env::args().any(|argument| argument == "slowest") {
        print_slowest();
    } else {
        divan::main();
    }
}

/// Prints the inputs of 64 KiB that take the longest to load and to report, with the time of one of half the size.
#[expect(clippy::print_stdout, reason = "the output of the benchmark")]
fn print_slowest() {
    const SHOWN: usize = 10;
    let milliseconds = |text: &str| {
        let start = Instant::now();
        let outcome = load(Some(text), &[], Purpose::Start);
        let disclosure = outcome.disclosure();
        let source = SourceFile::new("tbot.yaml", text, &disclosure);
        let mut report = String::new();
        let rendered = render(
            &mut report,
            ReportFormat::Human,
            Terminal::default(),
            &[Report::new(&source, outcome.diagnostics)],
        );
        divan::black_box((rendered.is_ok(), report));
        start.elapsed().as_secs_f64() * 1e3
    };
    // The fastest of three runs, because the machine does other things as well.
    let fastest = |text: &str| (0..3).map(|_| milliseconds(text)).fold(f64::INFINITY, f64::min);
    let mut rows: Vec<_> = FAMILIES
        .iter()
        .map(|family| {
            let [half, whole] = [MAX_INPUT / 2, MAX_INPUT].map(|size| fastest(&family.of_size(size)));
            (whole, whole / half, family.name)
        })
        .collect();
    rows.sort_by(|one, other| other.0.total_cmp(&one.0));
    println!("{:28} {:>10} {:>16}", "64 KiB of", "time", "of 32 KiB");
    for (time, ratio, name) in rows.iter().take(SHOWN) {
        println!("{name:28} {time:>7.1} ms {ratio:>15.1}x");
    }
    if let Some((_, ratio, name)) = rows.iter().max_by(|one, other| one.1.total_cmp(&other.1)) {
        println!("the most growth: {ratio:.1}x, {name}");
    }
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
        load(Some(&*text), &[], Purpose::Start).effective.ok_or("not valid")
    });
}

/// The same file with one unknown key per output. A comparison with the schema explains each of them.
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
        let built = build(rules, divan::black_box(effective.value()), context).ok()?;
        Some(request_body(rules, built.event(), "00000000-0000-4000-8000-000000000000"))
    });
}

/// Reads the rules of the event from the embedded schema, which a process does once.
#[divan::bench]
fn read_rules() -> bool {
    Rules::embedded().is_ok()
}
