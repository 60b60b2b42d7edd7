//! What two reports, or a report and the weeks before it, show together.

use std::collections::BTreeMap;

use prehog::day::Week;
use prehog::report::{DEFAULT_WEEKS, Format, Group, Report, Row, WeekRange};

use super::{fill, fill_weeks, last_week};
use crate::fixture::{report_of, sqlite_in};

/// The difference of two reports is what the weeks by which they differ show on their own.
#[test]
fn comparing_reports_reveals_no_small_group() {
    let directory = tempfile::tempdir().unwrap();
    let store = sqlite_in(directory.path());
    let mut opened = store.open().unwrap();
    let first = Week(2000);
    for week in 0..4_u32 {
        let day = first.plus(i32::try_from(week).unwrap()).first_day();
        fill(&mut *opened, day, "0.1.0", "github", week * 10_000, 100);
        // Large in all weeks together, but small in the last one.
        let rare = if week == 3 { 2 } else { 30 };
        fill(&mut *opened, day, "0.2.0", "tpm", week * 10_000 + 5000, rare);
    }
    let mut starts = |from: i32, to: i32| {
        let report = report_of(&mut *opened, WeekRange { first: first.plus(from), last: first.plus(to) });
        let mut rows = report.groups("join_type").iter().flat_map(|group| &group.table.rows);
        rows.find(|row| row.value == "tpm").and_then(|row| row.starts).unwrap_or(0)
    };
    assert_eq!(starts(0, 2), 90);
    assert_eq!(starts(0, 3) - starts(0, 2), 0);
    assert_eq!(starts(3, 3), 0);
}

#[test]
fn a_report_compares_with_the_weeks_before_only_if_all_have_starts() {
    let weeks = WeekRange::ending(last_week(), 2);
    let directory = tempfile::tempdir().unwrap();
    let mut store = sqlite_in(directory.path()).open().unwrap();
    fill_weeks(&mut *store, weeks);
    let mut report = |weeks| report_of(&mut *store, weeks);
    let one_shot = |report: &Report| -> Row {
        let [Group { table, .. }] = report.groups("run_mode") else { panic!("no run modes") };
        table.rows.iter().find(|row| row.value == "one-shot").unwrap().clone()
    };
    // 10 starts more for each destination and week.
    let compared = report(weeks);
    assert_eq!(
        compared.before.map(|before| (before.starts, before.until)),
        Some((190, weeks.first_day().plus(-1)))
    );
    let row = one_shot(&compared);
    assert_eq!((row.starts, row.before), (Some(330), Some(130)));
    assert_eq!(row.weeks, [Some(140), Some(190)]);
    // The first of the three weeks before has no starts.
    let longer = report(WeekRange { first: weeks.first.plus(-1), ..weeks });
    assert_eq!((longer.before, one_shot(&longer).before), (None, None));
}

/// As if the receiver had been down in a week of the report, or of the weeks before.
#[test]
fn a_report_does_not_compare_with_weeks_that_have_gaps() {
    let weeks = WeekRange::ending(last_week(), 3);
    let compares_without = |missing: Option<i32>| {
        let directory = tempfile::tempdir().unwrap();
        let mut store = sqlite_in(directory.path()).open().unwrap();
        for (index, week) in (0_u32..).zip((-3..3).filter(|week| Some(*week) != missing)) {
            fill(&mut *store, weeks.first.plus(week).first_day(), "0.1.0", "github", index * 100, 40);
        }
        let report = report_of(&mut *store, weeks);
        let with_current_week = Report::from_store(&mut *store, weeks, 10, weeks.last_day()).unwrap();
        assert_eq!(with_current_week.before, None);
        assert_eq!(with_current_week.notes.len(), report.notes.len() + 1);
        report.before.is_some()
    };
    assert!(compares_without(None));
    for missing in -3..3 {
        assert!(!compares_without(Some(missing)), "{missing}");
    }
}

/// In the CSV, a number that is hidden differs from one that does not exist.
#[test]
fn a_hidden_number_of_the_weeks_before_is_marked() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = sqlite_in(directory.path()).open().unwrap();
    let weeks = WeekRange::ending(last_week(), 1);
    for (week, join_type, first, starts) in
        [(weeks.before(), "github", 0, 20), (weeks, "github", 100, 30), (weeks, "tpm", 200, 40)]
    {
        fill(&mut *store, week.first_day(), "0.1.0", join_type, first, starts);
    }
    let csv = report_of(&mut *store, weeks).render(Format::Csv);
    let rows: Vec<&str> = csv.lines().filter(|row| row.starts_with("join_type,")).collect();
    assert!(rows.contains(&"join_type,github,,,30,20,"), "{csv}");
    assert!(rows.contains(&"join_type,tpm,,,40,,before hidden"), "{csv}");
    let earlier = report_of(&mut *store, weeks.before()).render(Format::Csv);
    assert!(earlier.contains("\njoin_type,github,,,20,,\n"), "{earlier}");
}

/// The largest loss is that of a value, or of an implementation, that nobody uses any more.
#[test]
fn a_value_that_is_shown_only_in_the_weeks_before_is_listed() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = sqlite_in(directory.path()).open().unwrap();
    let weeks = WeekRange::ending(last_week(), 1);
    for (week, version, join_type, first, starts) in [
        (weeks.before(), "0.1.0", "github", 0, 200),
        (weeks.before(), "18.2.0", "gitlab", 1000, 200),
        (weeks.before(), "18.2.0", "tpm", 2000, 9),
        (weeks, "0.1.0", "github", 3000, 400),
        (weeks, "0.1.0", "gitlab", 4000, 9),
        (weeks, "0.1.0", "iam", 5000, 21),
    ] {
        fill(&mut *store, week.first_day(), version, join_type, first, starts);
    }
    let report = report_of(&mut *store, weeks);
    let numbers = |facet: &str| -> Vec<(String, Option<u64>, Option<u64>)> {
        let rows = report.groups(facet).iter().flat_map(|group| &group.table.rows);
        rows.map(|row| (row.value.clone(), row.before, row.starts)).collect()
    };
    let row = |value: &str, before, starts| (value.to_owned(), before, starts);
    // A larger loss is above a smaller number of today.
    assert_eq!(
        numbers("join_type"),
        [row("github", Some(200), Some(400)), row("gitlab", Some(200), None), row("iam", None, Some(20))]
    );
    assert_eq!(numbers("version"), [row("0.1.0", Some(200), Some(430)), row("18.2.0", Some(200), None)]);
    assert_eq!(
        report.groups("version").iter().map(|group| group.starts).collect::<Vec<_>>(),
        [Some(430), None]
    );
    assert!(report.render(Format::Csv).contains("\njoin_type,gitlab,,,,200,hidden\n"));
    // Up to 9 starts of the value may be hidden.
    let page = report.render(Format::Html);
    assert!(page.contains("min. −95%") && !page.contains("−100%"), "{page}");
    // Without a comparison, there is nothing to say about the value.
    let alone = Report::from_store(&mut *store, weeks, 10, weeks.last_day()).unwrap();
    assert!(!alone.render(Format::Json).contains("gitlab"));
}

/// So a report shows nothing about the weeks before that their own report does not show.
#[test]
fn the_numbers_before_are_those_of_the_report_on_the_weeks_before() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = sqlite_in(directory.path()).open().unwrap();
    let weeks = WeekRange::ending(last_week(), 3);
    let mut next = 0;
    for (index, week) in (0_u32..).zip(weeks.before().weeks().chain(weeks.weeks())) {
        for (number, version) in (0_u32..).zip(["0.1.0", "0.2.0", "18.1.0", "18.2.0"]) {
            for (other, join_type) in (0_u32..).zip(["github", "gitlab", "tpm", "iam"]) {
                // Some are shown in no week, others in each, and one join method only in the weeks before.
                let is_lost = join_type == "iam" && index >= 3;
                let starts = if is_lost { 2 } else { (index * 7 + number * 11 + other * 5) * 13 % 23 };
                fill(&mut *store, week.first_day(), version, join_type, next, starts);
                next += starts;
            }
        }
    }
    let numbers = |report: &Report, number: fn(&Row) -> Option<u64>| -> BTreeMap<String, u64> {
        let mut numbers = BTreeMap::new();
        for section in &report.sections {
            for group in report.groups(&section.name) {
                for (kind, table) in [("", Some(&group.table)), ("combined", group.combinations.as_ref())] {
                    for row in table.into_iter().flat_map(|table| &table.rows) {
                        let key = format!("{} {:?} {kind} {}", section.name, group.name, row.value);
                        numbers.extend(number(row).map(|number| (key, number)));
                    }
                }
            }
        }
        numbers
    };
    let report = report_of(&mut *store, weeks);
    let before = report_of(&mut *store, weeks.before());
    assert!(report.before.is_some());
    assert_eq!(numbers(&report, |row| row.before), numbers(&before, |row| row.starts));
    let is_lost = |row: &Row| row.starts.is_none().then_some(0);
    assert!(!numbers(&report, is_lost).is_empty());
}

/// A receiver that was installed on a Saturday has a first week of two days.
#[test]
fn a_report_does_not_compare_with_a_week_that_may_be_incomplete() {
    let weeks = WeekRange::ending(last_week(), 1);
    let before_with = |days: &[i32]| {
        let directory = tempfile::tempdir().unwrap();
        let mut store = sqlite_in(directory.path()).open().unwrap();
        for (index, day) in (0..7).chain(days.iter().copied()).enumerate() {
            let day = weeks.first_day().plus(day);
            fill(&mut *store, day, "0.1.0", "github", u32::try_from(index).unwrap() * 100, 40);
        }
        let report = report_of(&mut *store, weeks);
        report.before.map(|before| before.starts)
    };
    assert_eq!(before_with(&[-2, -1]), None);
    assert_eq!(before_with(&[-7, -2, -1]), Some(120));
    // The receiver already ran in the week before.
    assert_eq!(before_with(&[-8, -2, -1]), Some(80));
    assert_eq!(before_with(&[-15, -2, -1]), None);
}

/// One start more per week can change a rounded number by 10 in each week. The page does not claim that it doubled.
#[test]
fn a_change_that_rounding_may_explain_is_not_shown_as_a_percentage() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = sqlite_in(directory.path()).open().unwrap();
    let weeks = WeekRange::ending(last_week(), DEFAULT_WEEKS);
    let mut next = 0;
    for (range, starts) in [(weeks.before(), [19, 20, 300]), (weeks, [20, 19, 330])] {
        for week in range.weeks() {
            for (join_type, count) in ["tpm", "iam", "github"].into_iter().zip(starts) {
                fill(&mut *store, week.first_day(), "0.1.0", join_type, next, count);
                next += count;
            }
        }
    }
    let report = report_of(&mut *store, weeks);
    let [Group { table, .. }] = report.groups("join_type") else { panic!("no join methods") };
    let numbers: Vec<_> = table.rows.iter().map(|row| (row.value.as_str(), row.before, row.starts)).collect();
    assert_eq!(
        numbers,
        [("github", Some(3600), Some(3960)), ("tpm", Some(120), Some(240)), ("iam", Some(240), Some(120))]
    );
    assert_eq!(table.max_hidden, 9 * 12);
    let page = report.render(Format::Html);
    let join_methods = page.split("id=\"join-type\"").nth(1).unwrap().split("</ul>").next().unwrap();
    let changes: Vec<&str> =
        join_methods.split("class=\"change\">").skip(2).map(|rest| rest.split('<').next().unwrap()).collect();
    assert_eq!(changes, ["+10%", "min. +5%", "min. −5%"]);
    assert!(!page.contains("+100%"), "{page}");
}
