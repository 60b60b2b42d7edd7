//! Writes the explanation of a code, and the list of all codes, for a terminal. Depends on `code`, `explanation` and
//! `terminal`.

use super::code::{Code, Phase};
use super::explanation::Example;
use super::terminal::{BOLD, Terminal, severity_style, width};

/// The maximum width of prose, which is hard to read in longer lines.
const PROSE_COLUMNS: usize = 80;

/// The number of columns before the lines of an example.
const EXAMPLE_INDENT: usize = 4;

/// Explains a code: what it means, why it matters, what to do, and an example.
#[must_use]
pub fn explain(code: Code, terminal: Terminal) -> String {
    let explanation = code.explanation();
    let heading = |title: &str| format!("\n{}\n\n", terminal.paint(BOLD, title));
    let mut text = format!(
        "{} ({}, since tbot {})\n\n",
        terminal.paint(severity_style(code.severity()), code.name()),
        code.severity(),
        code.since()
    );
    text += &prose(code.summary(), terminal);
    text += &heading("Why it matters");
    text += &prose(explanation.reason, terminal);
    text += &heading("What to do");
    text += &prose(explanation.remedy, terminal);
    text += &heading("Failing example");
    text += &example(&explanation.failing);
    text += &heading("Fixed example");
    text += &example(&explanation.fixed);
    text
}

/// Lists all codes, each with its title on one line of 80 columns.
#[must_use]
pub fn list_codes(terminal: Terminal) -> String {
    let longest = Code::ALL.iter().map(|code| width(code.name())).max().unwrap_or(0);
    let mut list = String::new();
    for phase in Phase::ALL {
        let gap = if list.is_empty() { "" } else { "\n" };
        list += &format!("{gap}{}\n", terminal.paint(BOLD, phase.title()));
        for code in Code::ALL.iter().filter(|code| code.phase() == phase) {
            let indent = longest + "    ".len();
            let title = terminal.wrap(code.title(), indent, indent);
            list += &format!("  {:longest$}  {title}\n", code.name());
        }
    }
    list
}

/// Wraps paragraphs. In Markdown, a single line break is a space.
fn prose(text: &str, terminal: Terminal) -> String {
    let terminal = Terminal { columns: terminal.columns.min(PROSE_COLUMNS), ..terminal };
    let paragraphs = text.trim_end().split("\n\n");
    let wrapped = paragraphs.map(|paragraph| terminal.wrap(&paragraph.replace('\n', " "), 0, 0) + "\n");
    wrapped.collect::<Vec<_>>().join("\n")
}

fn example(example: &Example) -> String {
    example
        .text
        .lines()
        .map(|line| format!("{:EXAMPLE_INDENT$}{line}", "").trim_end().to_owned() + "\n")
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_one_line_in_the_list() {
        let list = list_codes(Terminal::default());
        let headings_and_gaps = 2 * Phase::ALL.len() - 1;
        assert_eq!(list.lines().count(), Code::ALL.len() + headings_and_gaps, "{list}");
    }

    #[test]
    fn prose_fits_and_examples_are_not_changed() {
        for code in Code::ALL {
            let text = explain(*code, Terminal { colour: false, columns: 60 });
            let (prose, examples) = text.split_once("Failing example").unwrap();
            assert!(prose.lines().all(|line| width(line) <= 60), "{prose}");
            let lines = code.explanation().failing.text.lines().chain(code.explanation().fixed.text.lines());
            for line in lines {
                assert!(examples.lines().any(|shown| shown.trim() == line.trim()), "{line}");
            }
        }
    }

    #[test]
    fn colours_do_not_change_an_explanation() {
        let text = explain(Code::UnknownKey, Terminal { colour: true, ..Terminal::default() });
        insta::assert_snapshot!(text.replace('\u{1b}', "ESC"));
    }
}
