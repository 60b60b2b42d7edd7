//! The explanation of a code, parsed from its Markdown file when the program is compiled. Depends on nothing.

/// Why a finding matters, and what to do about it. Prose is Markdown without markup except for backquotes, and ends with a
/// line break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation {
    /// Why it matters.
    pub reason: &'static str,
    /// What the user can do about it.
    pub remedy: &'static str,
    /// What causes it.
    pub failing: Example,
    /// The same without the finding, or any other.
    pub fixed: Example,
}

/// An example of a `tbot.yaml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Example {
    /// What the text is.
    pub kind: ExampleKind,
    /// The text, which ends with a line break.
    pub text: &'static str,
}

/// What the text of an example is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExampleKind {
    /// The contents of the file.
    File,
    /// Shell commands that create the file, if it cannot be printed.
    Commands,
}

impl ExampleKind {
    /// Returns the language of a code block in Markdown.
    #[must_use]
    pub const fn language(self) -> &'static str {
        match self {
            Self::File => "yaml",
            Self::Commands => "sh",
        }
    }
}

impl Explanation {
    /// Parses the Markdown of a code.
    ///
    /// # Panics
    ///
    /// Panics if a section is missing or empty. It runs when the program is compiled, which then fails.
    pub(super) const fn parse(text: &'static str) -> Self {
        let (reason, rest) = split(text, "\n## What to do\n\n");
        let (remedy, rest) = split(rest, "\n## Failing example\n\n");
        let (failing, fixed) = split(rest, "\n## Fixed example\n\n");
        Self { reason, remedy, failing: Example::parse(failing), fixed: Example::parse(fixed) }
    }
}

impl Example {
    const fn parse(block: &'static str) -> Self {
        let (opening, text) = split(block, "\n");
        let kind = if equals(opening, "```yaml") {
            ExampleKind::File
        } else {
            assert!(equals(opening, "```sh"), "an example is a block of yaml or sh");
            ExampleKind::Commands
        };
        let (text, rest) = text.split_at(text.len().saturating_sub("```\n".len()));
        assert!(equals(rest, "```\n"), "a section ends after its example");
        Self { kind, text }
    }
}

/// Splits a text at the first occurrence of a separator.
const fn split(text: &'static str, separator: &str) -> (&'static str, &'static str) {
    let mut at = 0;
    while !starts_with(text.as_bytes(), at, separator.as_bytes()) {
        assert!(at < text.len(), "a section is missing");
        at += 1;
    }
    assert!(at > 0, "a section is empty");
    let (before, rest) = text.split_at(at);
    let (_, after) = rest.split_at(separator.len());
    (before, after)
}

/// Returns whether a part occurs at an offset.
const fn starts_with(text: &[u8], at: usize, part: &[u8]) -> bool {
    if text.len() < at + part.len() {
        return false;
    }
    let mut offset = 0;
    while offset < part.len() {
        if text[at + offset] != part[offset] {
            return false;
        }
        offset += 1;
    }
    true
}

const fn equals(one: &str, other: &str) -> bool {
    one.len() == other.len() && starts_with(one.as_bytes(), 0, other.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "It fails.\n\n## What to do\n\nFix it.\n\n## Failing example\n\n```yaml\na: b\n```\n\n## Fixed example\n\n```sh\n\
                        ls\n```\n";

    #[test]
    fn an_explanation_has_four_parts() {
        let explanation = Explanation::parse(TEXT);
        assert_eq!((explanation.reason, explanation.remedy), ("It fails.\n", "Fix it.\n"));
        assert_eq!(explanation.failing, Example { kind: ExampleKind::File, text: "a: b\n" });
        assert_eq!(explanation.fixed, Example { kind: ExampleKind::Commands, text: "ls\n" });
    }

    #[test]
    fn an_incomplete_explanation_is_rejected() {
        for part in [
            "It fails.\n",
            "## What to do",
            "## Failing example",
            "```yaml",
            "## Fixed example",
            "```sh\nls\n",
        ] {
            let text: &'static str = TEXT.replacen(part, "", 1).leak();
            assert!(std::panic::catch_unwind(|| Explanation::parse(text)).is_err(), "{part}");
        }
    }
}
