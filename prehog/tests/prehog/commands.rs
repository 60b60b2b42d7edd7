//! The program's other commands, as processes.

use std::path::Path;
use std::process::{Command, Output};

use prehog::day::Day;
use prehog::load::submission;
use prehog::store::StoreUrl;
use serde_json::Value;

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prehog"));
    command
        .args(arguments)
        .args(["--store", "sqlite:events.db"])
        .current_dir(folder)
        .env_clear()
        .output()
        .unwrap()
}

fn text(output: &Output) -> &str {
    assert!(output.status.success(), "{output:?}");
    std::str::from_utf8(&output.stdout).unwrap()
}

/// 200 starts of 2020, long past any time, and 300 of a week of 2025.
fn fill(folder: &Path) {
    let mut store = StoreUrl::Sqlite(folder.join("events.db")).open().unwrap();
    for (first, count, day) in [(0, 200, Day(18_300)), (200, 300, Day(20_303))] {
        let batch: Vec<_> = (first..first + count).map(|number| submission(1, number, day)).collect();
        store.append(&batch).unwrap();
    }
}

#[test]
fn export_writes_every_start() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    let count = |arguments: &[&str]| -> u64 {
        let output = run(folder.path(), arguments);
        let lines = text(&output).lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines
            .map(|line| {
                // Every line is an event of the schema, but for a join method or a helper that is `other`.
                assert!(line["event"]["run_mode"].is_string() && line["day"].is_string());
                line["starts"].as_u64().unwrap()
            })
            .sum()
    };
    assert_eq!(count(&["export"]), 500);
    assert_eq!(count(&["export", "--since", "2025-01-01"]), 300);
    assert_eq!(count(&["export", "--until", "2019-01-01"]), 0);
}

#[test]
fn report_rounds_to_whole_weeks() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    let day = Day(20_303);
    let (since, until) = (day.to_string(), day.plus(7).to_string());
    let arguments = ["report", "--since", &since, "--until", &until, "--format"];
    let output = run(folder.path(), &[&arguments[..], &["json"]].concat());
    let report: Value = serde_json::from_str(text(&output)).unwrap();
    assert_eq!(report["starts"], 300);
    assert_eq!(report["since"], day.week().first().to_string());
    assert_eq!(report["until"], day.plus(7).week().last().to_string());
    let html = run(folder.path(), &[&arguments[..], &["html"]].concat());
    assert!(text(&html).contains("<strong>300</strong> starts"));
    // The second week has no start at all: hidden like a few, and shown as none where nothing is hidden.
    assert_eq!(report["weeks"][1]["starts"], Value::Null);
    let all = run(folder.path(), &[&arguments[..], &["json", "--min-group", "1"]].concat());
    assert_eq!(serde_json::from_str::<Value>(text(&all)).unwrap()["weeks"][1]["starts"], 0);
    let wrong = run(folder.path(), &["report", "--since", &until, "--until", &since]);
    assert!(!wrong.status.success() && String::from_utf8_lossy(&wrong.stderr).contains("in order"));
}

#[test]
fn retain_removes_what_is_older() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    // Long enough for 2025 and short enough for 2020, for some years to come.
    let output = run(folder.path(), &["retain", "--days", "2200"]);
    assert!(text(&output).starts_with("removed 200 starts"), "{output:?}");
    assert!(text(&run(folder.path(), &["retain", "--days", "2200"])).starts_with("removed 0 starts"));
}

#[test]
fn what_came_this_week_is_not_removed_by_mistake() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    for command in [&["retain", "--days", "6"][..], &["serve", "--retain-days", "1"]] {
        let output = run(folder.path(), command);
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("at least 7, because starts go by whole weeks"), "{said}");
    }
}

#[test]
fn a_wrong_name_makes_no_store() {
    let folder = tempfile::tempdir().unwrap();
    for command in [&["report"][..], &["export"], &["retain", "--days", "7"]] {
        let output = run(folder.path(), command);
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains("there is no sqlite:events.db"));
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
