//! The report in a real browser: headless chromium.

use std::fs;
use std::process::Command;

use prehog::day::Day;
use prehog::load::Agents;
use prehog::report::{DEFAULT_WEEKS, Format, Navigation, WeekRange};
use serde_json::Value;

use crate::fixture::{report_of, schema, sqlite_in};

/// Measures the layout of the page. It is added to the copy that is tested; the page itself has no script.
const PROBE: &str = include_str!("probe.js");
const TODAY: Day = Day(20_600);

/// Returns the page that is served for a number of starts.
fn page(starts: u64) -> String {
    let directory = tempfile::tempdir().unwrap();
    let mut store = sqlite_in(directory.path()).open().unwrap();
    let agents = Agents::new(1).unwrap();
    let weeks = WeekRange::last_complete(TODAY);
    let navigation = Navigation { weeks, latest: weeks.last };
    let days = u64::try_from(DEFAULT_WEEKS * 7).unwrap();
    for (index, day) in (0..).zip(weeks.days()) {
        let numbers = starts * index / days..starts * (index + 1) / days;
        let batch: Vec<_> = numbers.map(|number| agents.submission(number, day)).collect();
        store.append(&batch).unwrap();
    }
    report_of(&mut *store, weeks).render_with(Format::Html, Some(&navigation))
}

/// Loads a page in the browser, and returns what the probe measured.
fn measure(page: &str, width: u32, is_dark: bool) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("page.html");
    fs::write(&file, format!("{page}<script>{PROBE}</script>")).unwrap();
    let scheme = if is_dark { "0" } else { "1" };
    let output = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
        ])
        .arg(format!("--user-data-dir={}", directory.path().join("profile").display()))
        .arg(format!("--blink-settings=preferredColorScheme={scheme}"))
        .arg(format!("--window-size={width},900"))
        .args(["--virtual-time-budget=2000", "--dump-dom"])
        .arg(format!("file://{}", file.display()))
        .output()
        .unwrap_or_else(|error| panic!("cannot run chromium: {error}"));
    let dom = String::from_utf8(output.stdout).unwrap();
    let (_, rest) =
        dom.split_once("<pre id=\"measurements\">").unwrap_or_else(|| panic!("the probe did not run: {dom}"));
    let (json, _) = rest.split_once("</pre>").unwrap();
    serde_json::from_str(&json.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")).unwrap()
}

fn assert_readable(measured: &Value, is_dark: bool) {
    assert_eq!(measured["dark"], is_dark, "{measured}");
    // Nothing extends beyond the page, and no label overlaps another one or the edge of its chart.
    assert_eq!(measured["overflow"], 0, "{measured}");
    assert_eq!(measured["misplaced"], Value::Array(Vec::new()), "{measured}");
    assert!(measured["smallest"].as_f64().unwrap() >= 12.0, "{measured}");
    // Contrast according to WCAG AA: 4.5 to 1 for text, 3 to 1 for bars.
    for (what, minimum) in [("text", 4.5), ("soft", 4.5), ("link", 4.5), ("bar", 3.0)] {
        let contrast = measured["contrast"][what].as_f64();
        assert!(contrast.is_none_or(|contrast| contrast >= minimum), "{what}: {measured}");
    }
    // Every chart has a name and a description or is repeated by text, and each section has a table with its numbers.
    for problem in ["unnamed", "untabled", "unlabelled", "skipped"] {
        assert_eq!(measured[problem], 0, "{problem}: {measured}");
    }
    assert_eq!(measured["main"], 1, "{measured}");
    // The first element that the keyboard reaches skips the header.
    assert_eq!(measured["focus"][0], "a.skip", "{measured}");
    assert_eq!(measured["loaded"], 0, "{measured}");
}

#[test]
#[ignore = "needs chromium"]
fn the_report_is_readable_in_a_browser() {
    for starts in [0, 7, 1000, 50_000] {
        let page = page(starts);
        // A browser window has at least 500 pixels, but a phone has less.
        let phone = page.replace("<html ", "<html style=\"width: 22.5rem\" ");
        assert_ne!(phone, page);
        // The colours do not depend on the width.
        for (page, width, is_dark) in [(&page, 1280, false), (&page, 768, true), (&phone, 500, false)] {
            let measured = measure(page, width, is_dark);
            assert_readable(&measured, is_dark);
            let sections = measured["sections"].as_u64().unwrap();
            let all = u64::try_from(schema().facets.len()).unwrap();
            let is_expected = match starts {
                0 | 7 => sections == 0,
                1000 => sections > 0,
                _ => sections == all,
            };
            assert!(is_expected, "{starts}: {measured}");
        }
    }
}
