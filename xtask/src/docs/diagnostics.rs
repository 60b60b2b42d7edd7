//! docs/diagnostics/: a page per code of a diagnostic, and their index.

use tbot::diagnostic::{Code, Example, Phase};

use super::markdown::{code, line, table};
use crate::generated::GeneratedFile;

/// The directory of the pages, which contains nothing else.
pub(crate) const DIRECTORY: &str = "docs/diagnostics";

const NOTICE: &str = "<!-- Generated from src/diagnostic by `cargo xtask docs`; do not edit. -->\n";

pub(super) fn pages() -> Vec<GeneratedFile> {
    let page = |code: &Code| GeneratedFile { path: format!("{DIRECTORY}/{code}.md"), content: page(*code) };
    let index = GeneratedFile { path: format!("{DIRECTORY}/README.md"), content: index() };
    std::iter::once(index).chain(Code::ALL.iter().map(page)).collect()
}

fn page(code: Code) -> String {
    let explanation = code.explanation();
    let block = |example: &Example| format!("```{}\n{}```\n", example.kind.language(), example.text);
    format!(
        "{NOTICE}# {code}\n\n{}\n\nSeverity: {}. Reported since `tbot` {}.\n\n## Why it matters\n\n{}\n## What to do\n\n{}\n\
         ## Failing example\n\n{}\n## Fixed example\n\n{}",
        code.summary(),
        code.severity(),
        code.since(),
        explanation.reason,
        explanation.remedy,
        block(&explanation.failing),
        block(&explanation.fixed),
    )
}

fn index() -> String {
    let mut page = format!("{NOTICE}# Diagnostics\n\n{}", include_str!("diagnostics/lead.md"));
    for phase in Phase::ALL {
        page += &format!("\n## {}\n\n{}\n\n{}", phase.title(), phase.requirement(), codes(phase, ""));
    }
    page
}

/// Formats a table of the codes of a phase. `directory` leads from the page to the pages of the codes.
pub(super) fn codes(phase: Phase, directory: &str) -> String {
    let row = |found: &Code| {
        let link = format!("[{}]({directory}{found}.md)", code(found.name()));
        vec![link, found.severity().name().to_owned(), line(found.summary())]
    };
    let rows: Vec<Vec<String>> = Code::ALL.iter().filter(|code| code.phase() == phase).map(row).collect();
    table(&["code", "severity", "meaning"], &rows)
}
