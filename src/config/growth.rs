//! Tests that a configuration of twice the size takes at most twice the steps to load and to report.

use tbot_fuzz::FAMILIES;

use crate::config::{Purpose, load};
use crate::diagnostic::{Report, ReportFormat, SourceFile, Terminal, render};
use crate::yaml::steps;

/// The size of the smaller configuration in bytes.
const SIZE: usize = 4 << 10;

fn load_and_report(text: &str) {
    let outcome = load(Some(text), &[], Purpose::Start);
    let disclosure = outcome.disclosure();
    let source = SourceFile::new("tbot.yaml", text, &disclosure);
    let reports = [Report::new(&source, outcome.diagnostics)];
    render(&mut String::new(), ReportFormat::Human, Terminal::default(), &reports).unwrap();
}

#[test]
fn twice_the_input_takes_at_most_twice_the_steps() {
    for family in FAMILIES {
        let steps = |size| steps::of(|| load_and_report(&family.of_size(size)));
        let (once, twice) = (steps(SIZE), steps(2 * SIZE));
        // The numbers in the larger input have more digits.
        assert!(twice <= 2 * once + once / 10 + 200, "{}: {once} steps, then {twice}", family.name);
    }
}

/// Checks that all kinds of steps are counted: otherwise, the test above shows nothing.
#[test]
fn reading_checking_and_reporting_are_counted() {
    let steps = |text: &str| steps::of(|| load_and_report(text));
    let empty = steps("version: v2\n");
    for text in [
        "version: v2\nservices: [[], [], [], [], [], [], [], [], []]\n",
        "version: v2\nstorage: {type: directory, path: /a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p}\n",
        "version: v2\nonboardin: 1\n",
    ] {
        assert!(steps(text) > empty + 8, "{text}");
    }
}
