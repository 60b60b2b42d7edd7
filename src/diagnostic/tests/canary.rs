//! Tests that a secret never appears in the output, wherever it is in a valid, invalid or malformed file.

use proptest::prelude::*;

use super::*;
use crate::yaml::internal::Positions;

/// Lines in which `@` is the secret. It is never a whole key, and never the value of a key whose value may be shown.
const LINES: &[&str] = &[
    "token: @",
    "tokn: @",
    "onboarding: {token: @, tokn: \"@\"}",
    "onboarding: {token:@}",
    "onboarding:",
    "token: \"@",
    "token: '@",
    "token: '@'' @'",
    "token: \"\\u0041 \\\" @\"",
    "@\"",
    "@'",
    "@",
    "token: |",
    "token: >-  # @",
    "note: ok # @",
    "version: \"v2\" # @",
    "version: 'v2'# @",
    "version: &@ \"v2\"",
    "version: !@ \"v2\"",
    "version: *@",
    "debug: 'x' # @",
    "x: &a @",
    "note: *a",
    "<<: *a",
    "<<: {token: @}",
    "- @",
    "list: [ok, @, [@]] # @",
    "list: [ok, @",
    "], @",
    "- token: @: @",
    "token: @, @",
    "token: [@}",
    "token: @ # @",
    "# @",
    "#@",
    "%@",
    "--- @",
    "---",
    "... # @",
    "version: \"v2\"",
    "version: \"v2\"",
    "\ttoken: @",
    "token:\t@\t# @",
    "token: %@",
    "{token: @}",
    "1: @",
    "token: .inf",
    "? [@]",
    ": @",
    "",
];

fn text() -> impl Strategy<Value = String> {
    let line = (0..4_usize, prop::sample::select(LINES))
        .prop_map(|(level, line)| format!("{:1$}{line}", "", level * 2));
    let line = prop_oneof![3 => prop::sample::select(LINES).prop_map(str::to_owned), 2 => line];
    // A visible block extends to the end of the file unless only a comment follows, so it comes last.
    let last = prop::sample::select(&["", "\nnote: |  # @\n  fine\n# @"][..]);
    (prop::collection::vec(line, 1..8), last).prop_map(|(lines, last)| lines.join("\n") + last)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_output_contains_any_part_of_a_secret(template in text(), secret in "[QZXJK]{8}") {
        let text = template.replace('@', &secret);
        let source = SourceFile::new("tbot.yaml", &text, &FixedDisclosure);
        let mut diagnostics: Vec<Diagnostic> =
            yaml::parse(&text).err().into_iter().flatten().map(Diagnostic::from).collect();
        // Add a diagnostic at every position, because a check could report any of them.
        let positions = Positions::parse(&text);
        for (start, _) in text.char_indices() {
            for end in [start, (start + 3).min(text.len()), text.len()] {
                let target = Target::Span(positions.span(start, end));
                diagnostics.push(Diagnostic::new(Code::WrongType, target, "wrong"));
            }
        }
        let reports = [Report::new(&source, diagnostics)];
        for format in [ReportFormat::Human, ReportFormat::Json, ReportFormat::Github, ReportFormat::Sarif] {
            let mut out = String::new();
            render(&mut out, format, Terminal::default(), &reports).unwrap();
            for part in secret.as_bytes().windows(2) {
                let part = std::str::from_utf8(part).unwrap();
                let leak = out.lines().find(|line| line.contains(part));
                prop_assert_eq!(leak, None, "{} of\n{}", part, text);
            }
        }
    }
}
