//! The report in a real browser: Debian's chromium, headless. Without one these are skipped with a line that says so,
//! except under `CI=true`, where that is a failure.

use std::fs;
use std::io::Write as _;
use std::process::Command;

use prehog::day::Day;
use prehog::load::submission;
use prehog::report::{Format, Span, make};
use prehog::store::StoreUrl;
use serde_json::Value;

/// Measures the page as it is laid out. It is added to the copy that is tested; the page itself has no script.
const PROBE: &str = include_str!("browser.js");
const LAST: Day = Day(20_600);

#[expect(clippy::disallowed_methods, reason = "the edge where a run of the tests says that it is CI")]
fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|ci| ci == "true")
}

/// The report over that many starts.
fn page(starts: u64) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut store = StoreUrl::Sqlite(folder.path().join("events.db")).open().unwrap();
    let span = Span::finished(LAST);
    for day in span.first.first().0..=span.last.last().0 {
        let index = u64::try_from(day - span.first.first().0).unwrap();
        let numbers = starts * index / 84..starts * (index + 1) / 84;
        let batch: Vec<_> = numbers.map(|number| submission(1, number, Day(day))).collect();
        store.append(&batch).unwrap();
    }
    make(&mut *store, span, 10).unwrap().render(Format::Html)
}

/// What the probe finds; none where there is no browser.
fn look(page: &str, width: u32, dark: bool) -> Option<Value> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.html");
    fs::write(&file, format!("{page}<script>{PROBE}</script>")).unwrap();
    let scheme = if dark { "0" } else { "1" };
    let output = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
        ])
        .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
        .arg(format!("--blink-settings=preferredColorScheme={scheme}"))
        .arg(format!("--window-size={width},900"))
        .args(["--virtual-time-budget=2000", "--dump-dom"])
        .arg(format!("file://{}", file.display()))
        .output();
    let output = match output {
        Ok(output) => output,
        Err(_) if is_ci() => panic!("there is no browser: install Debian's chromium"),
        Err(_) => {
            let mut errors = std::io::stderr();
            writeln!(errors, "skipped: the report in a browser, for want of chromium").unwrap();
            return None;
        }
    };
    let dom = String::from_utf8(output.stdout).unwrap();
    let (_, found) =
        dom.split_once("<pre id=\"found\">").unwrap_or_else(|| panic!("the probe did not run: {dom}"));
    let (found, _) = found.split_once("</pre>").unwrap();
    Some(
        serde_json::from_str(&found.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")).unwrap(),
    )
}

fn check(found: &Value, dark: bool) {
    assert_eq!(found["dark"], dark, "{found}");
    // Nothing hangs over the edge, and no text runs into a neighbour or out of its chart.
    assert_eq!(found["overflow"], 0, "{found}");
    assert_eq!(found["cut"], Value::Array(Vec::new()), "{found}");
    assert!(found["smallest"].as_f64().unwrap() >= 13.0, "{found}");
    // Text stands out from the page (WCAG AA: 4.5 to 1), bars too (3 to 1).
    assert!(found["contrast"]["text"].as_f64().unwrap() >= 4.5, "{found}");
    assert!(found["contrast"]["soft"].as_f64().unwrap() >= 4.5, "{found}");
    if let Some(bar) = found["contrast"]["bar"].as_f64() {
        assert!(bar >= 3.0, "{found}");
    }
    // Every chart has a name and a description, and a table follows it.
    assert_eq!(found["unnamed"], 0, "{found}");
    assert_eq!(found["untabled"], 0, "{found}");
    // The keyboard comes first to the way past the header, then to each table.
    assert_eq!(found["focus"][0], "a.skip", "{found}");
    assert_eq!(found["loaded"], 0, "{found}");
}

#[test]
fn the_report_reads_well_in_a_browser() {
    for starts in [0, 1, 50_000] {
        let page = page(starts);
        // The browser's window is no narrower than 500 pixels; a telephone is.
        let narrow = page.replace("<html ", "<html style=\"width: 22.5rem\" ");
        assert_ne!(narrow, page);
        for (page, width, dark) in
            [(&page, 1280, false), (&page, 1280, true), (&page, 500, false), (&narrow, 500, false)]
        {
            let Some(found) = look(page, width, dark) else { return };
            check(&found, dark);
            let charts = found["charts"].as_u64().unwrap();
            assert!(if starts > 1 { charts == 8 } else { charts >= 1 }, "{starts}: {found}");
        }
    }
}
