//! Checks that Prometheus accepts the alerts, and that each fires when it should. Tests of tbot and prehog compare the names of
//! metrics with those that the programs export.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use std::process::Command;

use tbot_documentation::root;

/// Runs promtool with the files in `packaging/prometheus` whose names end like this, and returns their number.
fn promtool(arguments: [&str; 2], end: &str) -> usize {
    let entries = std::fs::read_dir(root().join("packaging/prometheus")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let is_test = |name: &str| name.ends_with(".test.yml");
    let files: Vec<_> = names.filter(|name| name.ends_with(end) && is_test(name) == is_test(end)).collect();
    let mut command = Command::new("promtool");
    command.current_dir(root().join("packaging/prometheus")).args(arguments).args(&files);
    let output = command.output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&printed));
    files.len()
}

#[test]
#[ignore = "needs promtool"]
fn prometheus_accepts_the_alerts_and_they_fire_when_they_should() {
    assert_eq!(promtool(["check", "rules"], ".yml"), 2);
    assert_eq!(promtool(["test", "rules"], ".test.yml"), 2);
}

/// A rule that no test mentions could be wrong in any way.
#[test]
fn every_alert_is_tested_and_described() {
    for program in ["tbot", "prehog"] {
        let read = |path: String| std::fs::read_to_string(root().join(path)).unwrap();
        let rules = read(format!("packaging/prometheus/{program}.yml"));
        let tests = read(format!("packaging/prometheus/{program}.test.yml"));
        let page = read(format!("docs/operating-{program}.md"));
        let alerts: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
        assert!(alerts.len() > 4, "{alerts:?}");
        for alert in alerts {
            assert!(tests.matches(alert).count() > 1, "{alert} is not tested");
            assert!(page.contains(&format!("| `{alert}` |")), "{alert} is not described");
        }
    }
}
