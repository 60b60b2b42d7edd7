//! `prehog report`, `export` and `retain`, as processes.

use std::path::Path;
use std::process::{Command, Output};

use prehog::day::Day;
use prehog::load::Agents;
use serde_json::{Value, json};

use crate::fixture::{STORE, sqlite_in};

fn run(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prehog"));
    command
        .args(arguments)
        .args(["--store", "sqlite:events.db"])
        .current_dir(directory)
        .env_clear()
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> &str {
    assert!(output.status.success(), "{output:?}");
    std::str::from_utf8(&output.stdout).unwrap()
}

/// Stores 200 starts in 2020, which is older than any retention period here, and 300 in a week of 2025.
fn fill(directory: &Path) {
    let mut store = sqlite_in(directory).open().unwrap();
    let agents = Agents::new(1).unwrap();
    for (first, count, day) in [(0, 200, Day(18_300)), (200, 300, Day(20_303))] {
        let batch: Vec<_> = (first..first + count).map(|number| agents.submission(number, day)).collect();
        store.append(&batch).unwrap();
    }
}

/// The address of a store may contain a password.
#[test]
fn an_error_does_not_repeat_an_invalid_store_url() {
    for store in
        ["clickhouse:http://me:hunter2@db.example:8123/x?clutser=z", "postgres:me:hunter2@db.example"]
    {
        for is_variable in [false, true] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_prehog"));
            command.arg("export").env_clear();
            if is_variable {
                command.env("PREHOG_STORE", store)
            } else {
                command.args(["--store", store])
            };
            let output = command.output().unwrap();
            assert_eq!(output.status.code(), Some(2));
            let error = String::from_utf8(output.stderr).unwrap();
            let named = if is_variable { "for 'PREHOG_STORE'" } else { "for '--store <URL>'" };
            assert!(error.contains(named) && !error.contains("hunter2"), "{error}");
        }
    }
}

/// Unlike the arguments, other users cannot read the environment of a process. Help must not show it, either.
#[test]
fn a_variable_can_set_the_store() {
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path());
    let run = |arguments: &[&str], store: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_prehog"));
        command.args(arguments).current_dir(directory.path()).env_clear().env("PREHOG_STORE", store);
        command.output().unwrap()
    };
    assert!(stdout(&run(&["export"], "sqlite:events.db")).lines().count() > 0);
    assert_eq!(run(&["export"], "sqlite:other.db").status.code(), Some(1));
    // An empty variable counts as not set.
    let default = run(&["export"], "");
    assert_eq!(default.status.code(), run(&["export", "--store="], "sqlite:other.db").status.code());
    assert!(!String::from_utf8_lossy(&default.stderr).contains("invalid value"));
    // The flag has precedence.
    assert!(run(&["export", "--store", "sqlite:events.db"], "sqlite:other.db").status.success());
    let help = run(&["export", "--help"], "clickhouse:https://me:hunter2@db.example/x");
    assert!(stdout(&help).contains("PREHOG_STORE") && !stdout(&help).contains("hunter2"));
}

#[test]
fn export_writes_every_start() {
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path());
    let count = |arguments: &[&str]| -> u64 {
        let output = run(directory.path(), arguments);
        let lines = stdout(&output).lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines
            .map(|line| {
                assert!(line["event"]["run_mode"].is_string() && line["day"].is_string());
                line["starts"].as_u64().unwrap()
            })
            .sum()
    };
    assert_eq!(count(&["export"]), 500);
    assert_eq!(count(&["export", "--since", "2025-01-01"]), 300);
    assert_eq!(count(&["export", "--until", "2019-01-01"]), 0);
    let reversed = run(directory.path(), &["export", "--since", "2025-01-02", "--until", "2025-01-01"]);
    assert_eq!((reversed.status.code(), reversed.stdout.len()), (Some(1), 0));
}

#[test]
fn report_extends_to_whole_weeks() {
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path());
    let day = Day(20_303);
    let (since, until) = (day.to_string(), day.plus(7).to_string());
    let arguments = ["report", "--since", &since, "--until", &until, "--format"];
    let output = run(directory.path(), &[&arguments[..], &["json"]].concat());
    let report: Value = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!(report["starts"], 300);
    assert_eq!(report["since"], day.week().first_day().to_string());
    assert_eq!(report["until"], day.plus(7).week().last_day().to_string());
    let html = run(directory.path(), &[&arguments[..], &["html"]].concat());
    assert!(stdout(&html).contains("<strong>300</strong>"));
    // The second week has no starts. It looks the same as one with few starts, unless nothing is hidden.
    assert_eq!(report["weeks"][1]["starts"], Value::Null);
    let all = run(directory.path(), &[&arguments[..], &["json", "--min-group", "1"]].concat());
    assert_eq!(serde_json::from_str::<Value>(stdout(&all)).unwrap()["weeks"][1]["starts"], 0);
    let reversed = run(directory.path(), &["report", "--since", &until, "--until", &since]);
    assert_eq!(reversed.status.code(), Some(1));
    assert!(reversed.stdout.is_empty());
}

#[test]
fn a_report_that_must_not_be_published_causes_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path());
    let warnings = |arguments: &[&str]| {
        let output = run(directory.path(), &[&["--log-format", "json", "report"], arguments].concat());
        stdout(&output);
        let log = String::from_utf8(output.stderr).unwrap();
        log.lines().filter(|line| serde_json::from_str::<Value>(line).unwrap()["level"] == "WARN").count()
    };
    assert_eq!(warnings(&[]), 0);
    assert_eq!(warnings(&["--min-group", "9"]), 1);
    let future = ["--since", "2099-01-01", "--until", "2099-01-01"];
    assert_eq!(warnings(&future), 1);
    let notes = |arguments: &[&str]| {
        let output = run(directory.path(), &[&["report", "--format", "json"], arguments].concat());
        let report: Value = serde_json::from_str(stdout(&output)).unwrap();
        report["notes"].as_array().unwrap().len()
    };
    assert_eq!(notes(&future), notes(&[]) + 1);
}

/// The number of starts that are not shown is logged for the operator, and is not in the report, which may be published.
#[test]
fn the_number_of_hidden_starts_is_only_in_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let agents = Agents::new(1).unwrap();
    // 7 in the week of the report, and 5 in the next one.
    let batch: Vec<_> =
        (0..12).map(|number| agents.submission(number, Day(20_303 + 7 * i32::from(number >= 7)))).collect();
    sqlite_in(directory.path()).open().unwrap().append(&batch).unwrap();
    for format in ["html", "json", "csv"] {
        let week = ["--since", "2025-08-03", "--until", "2025-08-03", "--format", format];
        let output = run(directory.path(), &[&["--log-format", "json", "report"], &week[..]].concat());
        let report = stdout(&output);
        assert!([": 7", ",7,", ">7<", " 7 "].into_iter().all(|seven| !report.contains(seven)), "{report}");
        let log: Value = serde_json::from_slice(&output.stderr).unwrap();
        let logged = ["level", "received", "in_store"].map(|field| log[field].clone());
        assert_eq!(Value::from(logged.to_vec()), json!(["INFO", 7, 12]));
    }
    fill(directory.path());
    assert!(run(directory.path(), &["report", "--since", "2025-08-03"]).stderr.is_empty());
}

#[test]
fn backup_writes_a_copy() {
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path());
    for _ in 0..2 {
        stdout(&run(directory.path(), &["backup", "copy.db"]));
    }
    let exported = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_prehog"));
        let output = command.arg("export").args(arguments).current_dir(directory.path()).env_clear().output();
        stdout(&output.unwrap()).to_owned()
    };
    assert_eq!(exported(&["--store", "sqlite:copy.db"]), exported(&["--store", "sqlite:events.db"]));
    assert_eq!(run(directory.path(), &["backup", STORE]).status.code(), Some(1));
    // A directory, such as one with a forgotten name of the file.
    let before = std::fs::read_dir(directory.path()).unwrap().count();
    std::fs::create_dir(directory.path().join("backups")).unwrap();
    for file in [".", "backups", "backups/"] {
        let output = run(directory.path(), &["backup", file]);
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.starts_with(&format!("error: cannot write {file}: ")), "{error}");
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), before + 1);
    // With exchanged arguments, the backup would replace the store.
    let copy = directory.path().join("exchanged.db");
    std::fs::copy(directory.path().join("copy.db"), &copy).unwrap();
    let before = std::fs::read(directory.path().join(STORE)).unwrap();
    let mut exchanged = Command::new(env!("CARGO_BIN_EXE_prehog"));
    exchanged.args(["backup", "--store", "sqlite:exchanged.db", STORE]).current_dir(directory.path());
    let refused = exchanged.env_clear().output().unwrap();
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert_eq!(std::fs::read(directory.path().join(STORE)).unwrap(), before);
}

#[test]
fn retain_removes_older_starts_and_expired_ids() {
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path());
    let ids = || -> u32 {
        let file = rusqlite::Connection::open(directory.path().join(STORE)).unwrap();
        let count = "SELECT count(*) FROM (SELECT id FROM ids_0 UNION SELECT id FROM ids_1 UNION SELECT id FROM ids_2)";
        file.query_row(count, [], |row| row.get(0)).unwrap()
    };
    // Counts the starts, which puts their ids into the tables.
    stdout(&run(directory.path(), &["export"]));
    assert_eq!(ids(), 500);
    let removed = || -> u64 {
        // For some years to come, this keeps 2025 and removes 2020.
        let output = run(directory.path(), &["retain", "--days", "2200"]);
        stdout(&output).split_whitespace().find_map(|word| word.parse().ok()).unwrap()
    };
    assert_eq!(removed(), 200);
    assert_eq!(removed(), 0);
    assert_eq!(ids(), 0);
}

#[test]
fn values_below_a_minimum_are_rejected() {
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path());
    let cases = [
        ("retain", "--days", "13"),
        ("serve", "--retain-days", "13"),
        ("serve", "--min-group", "9"),
        ("serve", "--max-connections", "0"),
        ("serve", "--max-requests", "0"),
    ];
    for (command, flag, number) in cases {
        let output = run(directory.path(), &[command, flag, number]);
        assert_eq!(output.status.code(), Some(2));
        // The error is about this flag, and names the minimum.
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(flag) && stderr.contains("at least"), "{output:?}");
    }
    stdout(&run(directory.path(), &["retain", "--days", "14"]));
}

#[test]
fn a_server_without_its_store_does_not_report_that_it_receives_events() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join(STORE)).unwrap();
    let output = run(directory.path(), &["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(
        log.starts_with("error: cannot open sqlite:events.db: ") && !log.contains("receiving events"),
        "{log}"
    );
    assert_eq!(log.matches("unable to open database file").count(), 1, "{log}");
}

#[test]
fn a_missing_store_is_not_created() {
    let directory = tempfile::tempdir().unwrap();
    for command in [&["report"][..], &["export"], &["retain", "--days", "14"]] {
        let output = run(directory.path(), command);
        assert_eq!(output.status.code(), Some(1));
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}
