//! docs/SUMMARY.md: the table of contents of the book. Written by hand in summary.md, except for the pages of the diagnostics.

use tbot::diagnostic::Code;

pub(super) fn page() -> String {
    let pages = Code::ALL.iter().map(|code| format!("  - [{code}](diagnostics/{code}.md)\n"));
    let diagnostics = format!("- [Diagnostics](diagnostics/README.md)\n{}", pages.collect::<String>());
    include_str!("summary.md").replace("{diagnostics}\n", &diagnostics)
}
