//! The report: all formats, what it answers, and the rounding of its numbers.

mod comparisons;
mod served;

use prehog::day::{Day, Week};
use prehog::report::{Content, DEFAULT_WEEKS, Format, MAX_ROWS, NOTES, Report, Table, WeekRange};
use prehog::start::Submission;
use prehog::store::{Store, StoreUrl};
use serde_json::{Value, json};

use crate::fixture::{noon, report_of, schema, sqlite_in, start};

/// Returns the last complete week at the time of the tests.
fn last_week() -> Week {
    Day::of(noon()).week().plus(-1)
}

fn fill(store: &mut dyn Store, day: Day, version: &str, join_type: &str, from: u32, count: u32) {
    let start = start(json!({
        "run_mode": "one-shot",
        "version": version,
        "join_type": join_type,
        "destinations_configured": 2,
        "destinations_configured_database_access": 1,
    }));
    let batch: Vec<Submission> = (from..from + count)
        .map(|number| {
            let mut id = [0; 16];
            id[..4].copy_from_slice(&number.to_be_bytes());
            Submission { id, day, start: start.clone() }
        })
        .collect();
    store.append(&batch).unwrap();
}

fn store_sample(store: &StoreUrl) {
    let mut store = store.open().unwrap();
    let day = last_week().first_day();
    fill(&mut *store, day, "0.1.0", "github", 0, 500);
    fill(&mut *store, day.plus(1), "0.2.0", "token", 1000, 20);
    fill(&mut *store, day.plus(1), "7.7.7", "spacelift", 2000, 3);
    // The week before has only a few starts.
    fill(&mut *store, day.plus(-2), "9.9.9", "tpm", 3000, 9);
}

#[test]
fn a_small_group_is_in_no_format() {
    let directory = tempfile::tempdir().unwrap();
    let store = sqlite_in(directory.path());
    store_sample(&store);
    let weeks = WeekRange::last_complete(Day::of(noon()));
    let report = report_of(&mut *store.open().unwrap(), weeks);
    for format in [Format::Html, Format::Json, Format::Csv] {
        let rendered = report.render(format);
        for small in ["7.7.7", "spacelift", "9.9.9", "tpm"] {
            assert!(!rendered.contains(small), "{small} in {format:?}");
        }
    }
    // Every number is rounded, so that the version with 3 starts is not the difference of two numbers.
    let [versions] = report.groups("version") else { panic!("not one implementation") };
    let starts: Vec<u64> = versions.table.rows.iter().filter_map(|row| row.starts).collect();
    assert_eq!(starts, [500, 20]);
    assert!(report.weeks.iter().filter_map(|week| week.starts).eq([520]));
}

#[test]
fn a_report_without_enough_starts_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let store = sqlite_in(directory.path());
    for starts in [0, 1, 8] {
        fill(&mut *store.open().unwrap(), last_week().first_day(), "0.1.0", "tpm", 0, starts);
        let weeks = WeekRange::last_complete(Day::of(noon()));
        let report = report_of(&mut *store.open().unwrap(), weeks);
        assert_eq!(report.starts, None);
        let json: Value = serde_json::from_str(&report.render(Format::Json)).unwrap();
        assert_eq!(json["starts"], Value::Null);
        let csv = report.render(Format::Csv);
        assert_eq!(csv.lines().nth(1), Some("starts,2026-08-24 to 2026-11-15,,,,,hidden"));
        let page = report.render(Format::Html);
        // No empty chart or table, and not even the number of starts.
        assert!(page.contains("class=\"empty\"") && !page.contains("tpm"));
        assert!(!page.contains("<svg") && !page.contains("<table"), "{page}");
    }
}

/// However many values there are, a report stays small. With groups of one start, nothing is rounded.
#[test]
fn a_table_has_a_limited_number_of_rows() {
    let directory = tempfile::tempdir().unwrap();
    let store = sqlite_in(directory.path());
    let mut opened = store.open().unwrap();
    for number in 0..1000 {
        let version = format!("{number}.0.0");
        fill(
            &mut *opened,
            last_week().first_day(),
            &version,
            "token",
            number * 2,
            if number < 7 { 2 } else { 1 },
        );
    }
    let report =
        Report::from_store(&mut *opened, WeekRange::last_complete(Day::of(noon())), 1, Day::of(noon()))
            .unwrap();
    let [rust, go] = report.groups("version") else { panic!("not two implementations") };
    assert_eq!((rust.table.rows.len(), rust.table.more_values, rust.starts), (10, 0, Some(17)));
    assert_eq!((go.table.rows.len(), go.table.more_values, go.table.more_starts), (MAX_ROWS, 890, Some(890)));
    assert_eq!(rust.table.rows[0].starts, Some(2));
    for format in [Format::Html, Format::Json, Format::Csv] {
        assert!(report.render(format).len() < 200_000, "{format:?}");
    }
}

/// All text in a report is escaped, although all values come from closed sets.
#[test]
fn text_in_a_report_is_never_markup_or_a_formula() {
    const MARKUP: &str = "\"></title></svg><script>'&amp;,";
    const FORMULA: &str = "==cmd|' /C calc'!A0";
    let directory = tempfile::tempdir().unwrap();
    let store = sqlite_in(directory.path());
    store_sample(&store);
    let weeks = WeekRange::last_complete(Day::of(noon()));
    let report = report_of(&mut *store.open().unwrap(), weeks);
    let with = |text: &'static str| {
        let mut report = report.clone();
        report.notes.push(text);
        for section in &mut report.sections {
            (section.title, section.description) = (text.to_owned(), format!("{text} `{text}`"));
            section.answers.iter_mut().for_each(|answer| answer.reason = text.to_owned());
            match &mut section.content {
                Content::Groups(groups) => groups.iter_mut().for_each(|group| {
                    group.name = Some(text.to_owned());
                    let tables = std::iter::once(&mut group.table).chain(&mut group.combinations);
                    let rows = tables.flat_map(|table| &mut table.rows);
                    rows.for_each(|row| row.value = text.to_owned());
                }),
                Content::ByUseCase(cross) => {
                    cross.columns.iter_mut().for_each(|column| *column = text.to_owned());
                    cross.rows.iter_mut().for_each(|row| row.value = text.to_owned());
                }
            }
        }
        report
    };

    let page = with(MARKUP).render(Format::Html);
    assert!(page.contains("&quot;&gt;&lt;/title&gt;&lt;/svg&gt;&lt;script&gt;'&amp;amp;,"), "{page}");
    let plain = with("plain").render(Format::Html);
    for character in ['<', '>', '"'] {
        assert_eq!(
            page.matches(character).count(),
            plain.matches(character).count(),
            "{character} in {page}"
        );
    }

    let csv = with(MARKUP).render(Format::Csv);
    assert!(csv.contains(",\"\"\"></title></svg><script>'&amp;,\","), "{csv}");
    let csv = with(FORMULA).render(Format::Csv);
    assert!(csv.contains(",cmd|' /C calc'!A0,") && !csv.contains('='), "{csv}");

    let json: Value = serde_json::from_str(&with(MARKUP).render(Format::Json)).unwrap();
    assert_eq!(json["sections"][0]["content"]["groups"][0]["table"]["rows"][0]["value"], MARKUP);
}

/// Fills the weeks of a report and those before with starts of both implementations, in groups that are large enough to be shown.
fn fill_weeks(store: &mut dyn Store, weeks: WeekRange) {
    let mut number = 0;
    for (index, week) in weeks.before().weeks().chain(weeks.weeks()).enumerate() {
        for (version, join_type, helper, destinations) in [
            ("0.1.0", "github", Some("gha:teleport-actions/auth"), 1),
            ("0.2.0", "kubernetes", None, 2),
            ("18.2.0", "github", None, 4),
        ] {
            let mut properties = json!({
                "run_mode": if join_type == "github" { "one-shot" } else { "continuous" },
                "version": version,
                "join_type": join_type,
                "destinations_configured": destinations,
                "destinations_configured_database_access": 1,
                "destinations_configured_kubernetes_access": destinations / 2,
            });
            if let Some(helper) = helper {
                (properties["helper"], properties["helper_version"]) = (helper.into(), "v1".into());
            }
            let start = start(properties);
            let count = 20 + u32::try_from(index).unwrap() * 10 * destinations;
            let batch: Vec<Submission> = (number..number + count)
                .map(|number| {
                    let mut id = [0; 16];
                    id[..4].copy_from_slice(&number.to_be_bytes());
                    Submission { id, day: week.first_day(), start: start.clone() }
                })
                .collect();
            number += count;
            store.append(&batch).unwrap();
        }
    }
}

fn filled_report(weeks: WeekRange) -> Report {
    let directory = tempfile::tempdir().unwrap();
    let mut store = sqlite_in(directory.path()).open().unwrap();
    fill_weeks(&mut *store, weeks);
    report_of(&mut *store, weeks)
}

/// Each property is collected for a reason. Its declaration names the parts of a report that answer it; they must be in the
/// report, with numbers.
#[test]
fn a_section_answers_the_reason_of_each_property() {
    let report = filled_report(WeekRange::ending(last_week(), 3));
    let page = report.render(Format::Html);
    for property in &schema().properties {
        assert!(!property.rule.report.is_empty(), "nothing answers the reason of {}", property.name());
        for part in &property.rule.report {
            let mut sections = report.sections.iter();
            let section = sections.find(|section| {
                let mut answers = section.answers.iter();
                answers.any(|answer| answer.property == property.name() && answer.parts.contains(part))
            });
            let section = section.unwrap_or_else(|| panic!("no section has {part:?} of {}", property.name()));
            assert!(!section.content.is_empty(), "{}", section.name);
            assert!(page.contains(&format!("id=\"{}\"", section.name.replace('_', "-"))), "{}", section.name);
        }
        assert!(page.contains(&property.rule.reason), "{}", property.name());
    }
}

#[test]
fn the_report_matches_its_snapshots() {
    let report = filled_report(WeekRange::ending(Week(2900), 2));
    insta::assert_snapshot!("report.json", report.render(Format::Json));
    insta::assert_snapshot!("report.csv", report.render(Format::Csv));
    // Each element on its own line, so that a difference can be read.
    insta::assert_snapshot!("report.html", report.render(Format::Html).replace("><", ">\n<"));
}

/// How a version of the Go agent counts says nothing about other versions.
#[test]
fn the_report_says_for_which_version_of_the_go_agent_it_knows_the_counting() {
    const KNOWN: &str = "Teleport 15";
    let documentation = include_str!("../../../docs/telemetry.md");
    assert!(documentation.contains(&format!("observed in {KNOWN}, and later versions may differ")));
    assert!(NOTES.iter().any(|note| note.contains("the Go tbot") && note.contains(KNOWN)));
}

#[test]
fn implementations_are_told_apart_by_version() {
    let report = filled_report(WeekRange::ending(last_week(), 2));
    let versions: Vec<(&str, Vec<&str>)> = report
        .groups("version")
        .iter()
        .map(|group| (group.name.as_deref().unwrap(), values(&group.table)))
        .collect();
    assert_eq!(versions, [("Rust tbot", vec!["0.2.0", "0.1.0"]), ("Go tbot", vec!["18.2.0"])]);
    let destinations: Vec<(&str, Vec<&str>)> = report
        .groups("destinations_configured_by_implementation")
        .iter()
        .map(|group| (group.name.as_deref().unwrap(), values(&group.table)))
        .collect();
    assert_eq!(destinations, [("Rust tbot", vec!["1", "2"]), ("Go tbot", vec!["3 to 5"])]);
}

fn values(table: &Table) -> Vec<&str> {
    table.rows.iter().map(|row| row.value.as_str()).collect()
}

/// The parts of a cross table are rounded like all others, and their difference from its total shows no small group.
#[test]
fn a_small_part_of_a_cross_table_is_hidden() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = sqlite_in(directory.path()).open().unwrap();
    let day = last_week().first_day();
    let submit = |store: &mut dyn Store, first: u32, count: u32, databases: u32| {
        let start = start(json!({
            "run_mode": "one-shot",
            "version": "0.1.0",
            "join_type": "github",
            "destinations_configured": 1,
            "destinations_configured_database_access": databases,
            "destinations_configured_application_access": 1 - databases,
        }));
        let id = |number: u32| u128::from(number).to_be_bytes();
        let batch: Vec<Submission> = (first..first + count)
            .map(|number| Submission { id: id(number), day, start: start.clone() })
            .collect();
        store.append(&batch).unwrap();
    };
    submit(&mut *store, 0, 105, 1);
    let mut rendered = Vec::new();
    for few in 0..5 {
        if few > 0 {
            submit(&mut *store, 1000 + few, 1, 0);
        }
        let report = report_of(&mut *store, WeekRange::ending(last_week(), 1));
        let Content::ByUseCase(cross) = &report.section("join_type_by_use_case").unwrap().content else {
            panic!("not a cross table")
        };
        assert_eq!(cross.columns, ["database"], "{cross:?}");
        assert_eq!((cross.rows[0].starts, cross.rows[0].cells.as_slice()), (100, [Some(100)].as_slice()));
        rendered.push([Format::Html, Format::Json, Format::Csv].map(|format| report.render(format)));
    }
    rendered.dedup();
    assert_eq!(rendered.len(), 1);
}

/// A use case can have many starts of which each combination has few. The page does not claim that there are few.
#[test]
fn a_hidden_use_case_is_not_called_rare() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = sqlite_in(directory.path()).open().unwrap();
    let mut next = 0_u128;
    let mut submit = |join_type: &str, classes: [u32; 4], count: u128| {
        let [database, kubernetes, application, other] = classes;
        let start = start(json!({
            "run_mode": "one-shot",
            "version": "0.1.0",
            "join_type": join_type,
            "destinations_configured": database + kubernetes + application + other,
            "destinations_configured_database_access": database,
            "destinations_configured_kubernetes_access": kubernetes,
            "destinations_configured_application_access": application,
        }));
        let submissions = (next..next + count).map(|number| Submission {
            id: number.to_be_bytes(),
            day: last_week().first_day(),
            start: start.clone(),
        });
        store.append(&submissions.collect::<Vec<_>>()).unwrap();
        next += count;
    };
    submit("github", [1, 0, 0, 0], 50);
    submit("gcp", [0, 0, 0, 1], 50);
    for number in 0..8 {
        submit("gcp", [1, number & 1, number >> 1 & 1, number >> 2], 9);
    }
    let report = report_of(&mut *store, WeekRange::ending(last_week(), 1));
    let Content::ByUseCase(cross) = &report.section("join_type_by_use_case").unwrap().content else {
        panic!("not a cross table")
    };
    let row = cross.rows.iter().find(|row| row.value == "gcp").unwrap();
    assert_eq!((row.starts, row.cells.as_slice()), (120, [None, Some(50)].as_slice()));
    let page = report.render(Format::Html);
    assert!(
        page.contains("class=\"legend\">Hidden: no combination") && !page.contains("fewer than 10 starts")
    );
}

/// A report of a year has columns per week.
#[test]
fn the_chart_of_a_long_report_has_a_column_per_week() {
    let columns = |weeks: i32| {
        let page = filled_report(WeekRange::ending(last_week(), weeks)).render(Format::Html);
        let chart =
            page.split("days-chart-desc\">").nth(2).unwrap().split("</svg>").next().unwrap().to_owned();
        chart.matches("<rect").count()
    };
    // All starts of a week are on one day, so most days are hidden.
    assert_eq!(columns(DEFAULT_WEEKS), usize::try_from(DEFAULT_WEEKS).unwrap());
    assert_eq!(columns(40), 40);
}
