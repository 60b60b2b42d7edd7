//! Tests the rendered diagnostics, and that they never contain a secret.

mod canary;

use std::cell::Cell;
use std::ops::Range;

use super::*;
use crate::yaml;

/// A disclosure for a fixed set of scalars and property names, as a schema would define.
struct FixedDisclosure;

impl Disclosure for FixedDisclosure {
    fn visibility(&self, pointer: &str, _string: Option<&str>) -> Option<Visibility> {
        match pointer {
            "/version" | "/debug" | "/renewal_interval" | "/storage/type" | "/storage/path" | "/note"
            | "/list/0" => Some(Visibility::Visible),
            "/onboarding/token" => Some(Visibility::Hidden),
            _ => None,
        }
    }

    fn is_property_name(&self, name: &str) -> bool {
        matches!(name, "version" | "onboarding" | "token" | "join_method" | "storage" | "path")
    }
}

fn rendered(format: ReportFormat, text: &str, diagnostics: Vec<Diagnostic>) -> String {
    let source = SourceFile::new("tbot.yaml", text, &FixedDisclosure);
    let mut out = String::new();
    render(&mut out, format, Terminal::default(), &[Report::new(&source, diagnostics)]).unwrap();
    out
}

fn human(text: &str, diagnostics: Vec<Diagnostic>) -> String {
    rendered(ReportFormat::Human, text, diagnostics)
}

/// Renders the YAML problems of a file for a terminal.
fn rendered_problems(text: &str) -> String {
    let problems = yaml::parse(text).expect_err(text);
    human(text, problems.into_iter().map(Diagnostic::from).collect())
}

fn at_value(pointer: &str) -> Diagnostic {
    Diagnostic::new(Code::WrongType, Target::Value(pointer.into()), "wrong")
}

const FILE: &str = "\
version: v2
onboarding:
  tokn: sup3rs3cret # sup3rs3cret too
  join_method: token
storage: {type: directory, path: /var/lib, note: hidden}
services:
  - type: identity
";

fn sample_diagnostics() -> Vec<Diagnostic> {
    vec![
        Diagnostic::new(Code::UnknownVersion, Target::Override("TELEPORT_PROXY".into()), "not an address"),
        Diagnostic::new(Code::UnknownKey, Target::Key("/onboarding/tokn".into()), "unknown key `tokn`")
            .with_help("did you mean `token`?"),
        Diagnostic::new(
            Code::UnknownValue,
            Target::Value("/storage/type".into()),
            "100% unknown, is it?\nno: \u{1b}[31m",
        )
        .with_severity(Severity::Warning)
        .with_related("the other one is here", Target::Key("/version".into())),
        Diagnostic::new(
            Code::MissingKey,
            Target::Value("/services/0/destination".into()),
            "missing key `destination`",
        ),
        Diagnostic::new(Code::MissingKey, Target::Value("/nothing/at/all".into()), "missing key `nothing`"),
        Diagnostic::new(Code::UnknownKey, Target::Key("/onboarding/tokn".into()), "unknown key `tokn`")
            .with_help("did you mean `token`?"),
    ]
}

#[test]
fn human_format_shows_excerpts() {
    insta::assert_snapshot!(human(FILE, sample_diagnostics()));
}

#[test]
fn line_endings_do_not_change_the_output() {
    for end in ["\r\n", "\r"] {
        assert_eq!(
            human(&FILE.replace('\n', end), sample_diagnostics()),
            human(FILE, sample_diagnostics()),
            "{end:?}"
        );
    }
    let broken = "a: 1\nb: \"x\n  y\nc: 2\n";
    assert_eq!(rendered_problems(&broken.replace('\n', "\r\n")), rendered_problems(broken));
}

#[test]
fn json_format_is_one_object() {
    insta::assert_snapshot!(rendered(ReportFormat::Json, FILE, sample_diagnostics()));
}

#[test]
fn github_format_is_one_command_per_line() {
    insta::assert_snapshot!(rendered(ReportFormat::Github, FILE, sample_diagnostics()));
}

#[test]
fn sarif_format_is_one_log() {
    let log = rendered(ReportFormat::Sarif, FILE, sample_diagnostics());
    insta::assert_snapshot!(log.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
}

#[test]
fn a_sarif_log_names_files_by_uris() {
    let uri = |name: &str| {
        let source = SourceFile::new(name, FILE, &FixedDisclosure);
        let mut out = String::new();
        let reports = [Report::new(&source, vec![at_value("/version")])];
        render(&mut out, ReportFormat::Sarif, Terminal::default(), &reports).unwrap();
        let log: serde_json::Value = serde_json::from_str(&out).unwrap();
        let location = &log["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
        location["artifactLocation"]["uri"].as_str().unwrap().to_owned()
    };
    assert_eq!(uri("bots/tbot.yaml"), "bots/tbot.yaml");
    assert_eq!(uri("/etc/tbot.yaml"), "file:///etc/tbot.yaml");
    assert_eq!(uri("Zürich bot?#%.yaml"), "Z%C3%BCrich%20bot%3F%23%25.yaml");
}

#[test]
fn a_footer_explains_masks_and_codes_once() {
    let footer = |text: &str, diagnostics: Vec<Diagnostic>| {
        let source = SourceFile::new("tbot.yaml", text, &FixedDisclosure);
        let reports = [Report::new(&source, diagnostics)];
        let mut out = String::new();
        render(&mut out, ReportFormat::Human, Terminal::default(), &reports).unwrap();
        super::footer(&out, Terminal::default(), &reports)
    };
    let nothing = footer(FILE, vec![]);
    let one_code = footer(FILE, vec![at_value("/version"), at_value("/storage/type")]);
    let several_codes = footer(FILE, sample_diagnostics());
    insta::assert_snapshot!([nothing, one_code, several_codes].join("==========\n"));
}

#[test]
fn colours_do_not_change_the_text() {
    let source = SourceFile::new("tbot.yaml", FILE, &FixedDisclosure);
    let reports = [Report::new(&source, sample_diagnostics())];
    let (mut plain, mut coloured) = (String::new(), String::new());
    render(&mut plain, ReportFormat::Human, Terminal::default(), &reports).unwrap();
    render(&mut coloured, ReportFormat::Human, Terminal { colour: true, ..Terminal::default() }, &reports)
        .unwrap();
    assert!(!plain.contains('\u{1b}'));
    let mut stripped = String::new();
    for (number, part) in coloured.split("\u{1b}[").enumerate() {
        stripped += if number == 0 { part } else { part.split_once('m').unwrap().1 };
    }
    assert_eq!(stripped, plain);
}

#[test]
fn a_summary_counts_every_severity() {
    let source = SourceFile::new("tbot.yaml", FILE, &FixedDisclosure);
    let warning = |pointer: &str| at_value(pointer).with_severity(Severity::Warning);
    let of = |diagnostics| summary(&[Report::new(&source, diagnostics)]);
    assert_eq!(of(vec![]), "no problems in tbot.yaml");
    assert_eq!(of(vec![at_value("/version")]), "1 error in tbot.yaml");
    assert_eq!(of(vec![warning("/version"), warning("/debug")]), "2 warnings in tbot.yaml");
    assert_eq!(of(sample_diagnostics()), "4 errors and 1 warning in tbot.yaml");
    let two = [Report::new(&source, sample_diagnostics()), Report::new(&source, vec![])];
    assert_eq!(summary(&two), "4 errors and 1 warning in 2 files");
    let note = at_value("/note").with_severity(Severity::Note);
    assert_eq!(of(vec![note.clone()]), "1 note in tbot.yaml");
    let of_each = vec![at_value("/version"), warning("/debug"), note];
    assert_eq!(of(of_each), "1 error, 1 warning and 1 note in tbot.yaml");
}

#[test]
fn a_summary_says_which_valid_files_cannot_be_started() {
    let source = SourceFile::new("tbot.yaml", FILE, &FixedDisclosure);
    let unsupported = || Diagnostic::new(Code::NotSupported, Target::Value("/debug".into()), "no");
    let report = |diagnostics| Report::new(&source, diagnostics);
    let one = summary(&[report(vec![unsupported()])]);
    let invalid = summary(&[report(vec![unsupported(), at_value("/version")])]);
    let two = summary(&[report(vec![unsupported()]), report(vec![])]);
    insta::assert_snapshot!([one, invalid, two].join("\n"));
}

#[test]
fn a_note_is_a_notice_on_github() {
    let note = at_value("/version").with_severity(Severity::Note);
    assert!(rendered(ReportFormat::Github, FILE, vec![note]).starts_with("::notice file=tbot.yaml,"));
}

#[test]
fn json_format_contains_the_diagnostics_of_all_files() {
    let (one, other) =
        (SourceFile::new("a.yaml", FILE, &FixedDisclosure), SourceFile::new("b.yaml", "", &FixedDisclosure));
    let empty = Diagnostic::from(yaml::parse("").unwrap_err().remove(0));
    let reports = [Report::new(&one, vec![at_value("/version")]), Report::new(&other, vec![empty])];
    let mut out = String::new();
    render(&mut out, ReportFormat::Json, Terminal::default(), &reports).unwrap();
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    let files: Vec<_> =
        value["diagnostics"].as_array().unwrap().iter().map(|one| one["file"].as_str()).collect();
    assert_eq!(files, [Some("a.yaml"), Some("b.yaml")]);
    assert_eq!(value["errors"], 2);
}

#[test]
fn excerpts_of_syntax_errors_hide_all_values() {
    let texts = [
        "version: v2\nonboarding:\n  token: abc: def\n",
        "onboarding:\n  token: \"abc\n  join_method: token\n",
        "onboarding:\n  - path: [abc, def\nx: 1\n",
        "onboarding:\n\ttoken: abc\n",
        "token: abc # def\nsecret\nb: 1\n",
        "- - token: @abc\n",
        "a: 1\na: 2\nb: [1, {c: .inf}]\n1: !x y\n",
    ];
    let all: Vec<String> = texts.iter().map(|text| rendered_problems(text)).collect();
    insta::assert_snapshot!(all.join("==========\n"));
}

#[test]
fn values_of_every_style_are_underlined() {
    let text = "\
version: 'v2' # c
note: |  # c
  visible
list: [one, two]
\u{9}
storage:
  path:
  type: [a,
    b]
renewal_interval: 時間 of\u{202e} day
debug: plain
  in two lines
x: &a {token: 1, b: 2}
y: *a
? z
: - &b 3
";
    let pointers = [
        "/version",
        "/note",
        "/list",
        "/list/0",
        "/list/1",
        "/storage/path",
        "/storage/type",
        "/storage",
        "/storage/type/1",
        "/renewal_interval",
        "/debug",
        "/x/token",
        "/y",
        "/y/b",
        "/z",
        "/z/0",
    ];
    let all: Vec<String> = pointers.iter().map(|pointer| human(text, vec![at_value(pointer)])).collect();
    insta::assert_snapshot!(all.join("==========\n"));
}

#[test]
fn a_report_fits_the_width_of_the_terminal() {
    let text = format!(
        "version: v2 # c\nlist: [{}]\nnote: {}\nrenewal_interval: {}\r\ndebug: x\ty{}\n",
        "one, two, ".repeat(20),
        "時間 ".repeat(60),
        "🦀é".repeat(50),
        "\tz".repeat(40)
    );
    let long = "a message of several words that has to be wrapped, with `code: in, back: quotes`";
    let mut all = String::new();
    for columns in [40, 80, 120] {
        for pointer in ["/version", "/list/20", "/list", "/note", "/renewal_interval", "/debug"] {
            let mut one = at_value(pointer);
            if pointer == "/version" {
                one = one.with_help(long).with_related(long, Target::Key("/list".into()));
            }
            let source = SourceFile::new("tbot.yaml", &text, &FixedDisclosure);
            let reports = [Report::new(&source, vec![one])];
            let mut out = String::new();
            render(&mut out, ReportFormat::Human, Terminal { colour: false, columns }, &reports).unwrap();
            assert!(out.lines().all(|line| terminal::width(line) <= columns), "{columns}\n{out}");
            if columns == 40 {
                all += &out;
            }
        }
    }
    insta::assert_snapshot!(all);
}

#[test]
fn a_long_line_is_truncated_around_the_underline() {
    let many: Vec<String> = (0..5000).map(|number| format!("k{number}: {number}")).collect();
    let flow = format!("{{{}, debug: true}}", many.join(", "));
    let long = format!("version: {}\n", "v".repeat(3000));
    let mut all = String::new();
    for (text, pointer) in [(&flow, "/k0"), (&flow, "/k2500"), (&flow, "/debug"), (&long, "/version")] {
        let out = human(text, vec![at_value(pointer)]);
        assert!(out.lines().all(|line| terminal::width(line) <= 80), "{out}");
        all += &out;
    }
    insta::assert_snapshot!(all);
}

/// Counts how often a part of the file is looked at.
#[derive(Default)]
struct CountingDisclosure(Cell<usize>);

impl Disclosure for CountingDisclosure {
    fn visibility(&self, _pointer: &str, _string: Option<&str>) -> Option<Visibility> {
        self.0.set(self.0.get() + 1);
        Some(Visibility::Visible)
    }

    fn is_property_name(&self, _name: &str) -> bool {
        false
    }
}

#[test]
fn after_a_thousand_diagnostics_the_rest_is_only_counted() {
    let work = |count: usize, separator: &str| {
        let many: Vec<String> = (0..count).map(|number| format!("k{number}: {number}")).collect();
        let text = match separator {
            "\n" => many.join("\n"),
            _ => format!("{{{}}}", many.join(separator)),
        };
        let all = (0..count).map(|number| at_value(&format!("/k{number}"))).collect();
        let disclosure = CountingDisclosure::default();
        let source = SourceFile::new("tbot.yaml", &text, &disclosure);
        let reports = [Report::new(&source, all)];
        assert_eq!((reports[0].count(Severity::Error), reports[0].omitted()), (count, count - 1_000));
        let mut out = String::new();
        render(&mut out, ReportFormat::Human, Terminal::default(), &reports).unwrap();
        assert_eq!(out.lines().filter(|line| line.contains('^')).count(), 1_000);
        assert_eq!(
            summary(&reports),
            format!("{count} errors in tbot.yaml; {} of them are not shown", count - 1_000)
        );
        disclosure.0.get()
    };
    for separator in ["\n", ", "] {
        let few = work(5_000, separator);
        assert_eq!(work(20_000, separator), few, "the work depends on what is shown");
        assert!(few < 200_000, "{few} look-ups for 1,000 diagnostics");
    }
}

#[test]
fn a_span_outside_the_text_does_not_panic() {
    let at = |byte, line, column| yaml::TextPosition { byte, line, column };
    for span in [
        yaml::Span { start: at(1000, 100, 1), end: at(1001, 100, 2) },
        yaml::Span { start: at(1, 1, 2), end: at(0, 1, 1) },
        yaml::Span { start: at(usize::MAX, 1, usize::MAX), end: at(usize::MAX, 0, 0) },
        yaml::Span { start: at(0, 0, 0), end: at(0, 0, 0) },
    ] {
        let one = || vec![Diagnostic::new(Code::YamlSyntax, Target::Span(span), "m")];
        for text in ["", "é: é\n", "a: 'b"] {
            assert!(human(text, one()).starts_with("error[yaml-syntax]: m\n"));
        }
    }
}

#[test]
fn a_diagnostic_as_a_string_is_one_line_with_its_code_and_help() {
    for diagnostic in sample_diagnostics() {
        let line = diagnostic.to_string();
        assert!(!line.contains(char::is_control), "{line}");
        assert!(line.starts_with(&format!("{}[{}]: ", diagnostic.severity, diagnostic.code)), "{line}");
        assert!(diagnostic.help.is_none_or(|help| line.ends_with(&help)), "{line}");
    }
}

#[test]
fn a_value_is_hidden_if_an_alias_repeats_it_from_a_place_that_is_not_known() {
    for text in ["x: &a hunter2\nnote: *a", "note: &a hunter2\nx: *a"] {
        let out = human(text, vec![at_value("/x"), at_value("/note")]);
        assert!(!out.contains("hunter2"), "{out}");
    }
}

/// Returns the excerpt for these bytes: its text, and the indentation and length of the underline.
fn excerpt_of(text: &str, bytes: Range<usize>, columns: usize) -> (String, usize, usize) {
    let source = SourceFile::new("tbot.yaml", text, &FixedDisclosure);
    let span = source.positions().span(bytes.start, bytes.end);
    let shown = excerpt::excerpt(&source, span, columns).unwrap();
    (shown.text, shown.indent, shown.length)
}

#[test]
fn a_line_is_truncated_only_as_far_as_needed() {
    let fits = format!("note: {}", "a".repeat(34));
    assert_eq!(excerpt_of(&fits, 38..40, 40), (fits.clone(), 38, 2));

    let long = format!("note: {}", "0123456789".repeat(10));
    let from_the_start = format!("{}…", &long[..39]);
    assert_eq!(excerpt_of(&long, 30..35, 40), (from_the_start.clone(), 30, 5));
    assert_eq!(excerpt_of(&long, 36..39, 40), (from_the_start, 36, 3));
    // The underlined part would begin in the visible part, but not end there.
    assert_eq!(excerpt_of(&long, 36..40, 40), (format!("…{}…", &long[16..54]), 21, 4));
    assert_eq!(excerpt_of(&long, 50..85, 40), (format!("…{}…", &long[47..85]), 4, 35));
}

#[test]
fn an_underline_is_as_wide_as_the_character_at_which_it_begins() {
    assert_eq!(excerpt_of("note: 時", 6..6, 40), ("note: 時".to_owned(), 6, 2));
}

/// Only the bytes near the underline are considered, without the first and last one of a character that is cut in two.
#[test]
fn a_long_line_of_characters_of_three_bytes_is_cut_between_characters() {
    let text = format!("note: {}", "時".repeat(1000));
    let start = 6 + 3 * 400;
    let (_, indent, length) = excerpt_of(&text, start..start + 3, 10_000);
    // 342 columns are the 171 characters in the 512 bytes before the underline and the one cut in two.
    assert_eq!((indent, length), (": ".len() + 342, 2));
}

#[test]
fn a_function_as_a_disclosure_shows_keys_that_look_like_names_unless_the_syntax_is_wrong() {
    let disclosure = |pointer: &str| (pointer == "/version").then_some(Visibility::Visible);
    let shown = |text: &str| {
        let source = SourceFile::new("tbot.yaml", text, &disclosure);
        excerpt::excerpt(&source, source.positions().span(0, 1), 40).unwrap().text
    };
    assert_eq!(shown("version: v2"), "version: v2");
    assert_eq!(shown("token: v2"), "token: ***");
    assert_eq!(shown("hunter 2: v2"), "***: ***");
    assert_eq!(shown("version: [v2"), "*** ***");
}
