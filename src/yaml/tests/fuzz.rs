//! The fuzz target `yaml`: any file is read or rejected with positions inside it, like serde_yaml or with a known difference,
//! and what is read can be written and read again.

use std::path::Path;

use super::*;

#[test]
fn any_file_is_read_or_rejected() {
    let files = tbot_fuzz::files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases"), "yaml");
    tbot_fuzz::fuzz("yaml", files, |bytes| {
        let text = match decode(bytes) {
            Ok(text) => text,
            Err(problem) => return (vec![problem.kind], None),
        };
        malformed_input::check_any_text(&text).unwrap();
        let difference = agreement::difference(&text).map(|difference| difference.reason);
        match parse(&text) {
            Ok(parsed) => {
                if let Ok(written) = emit(&parsed.value) {
                    assert_eq!(parse(&written).map(|parsed| parsed.value), Ok(parsed.value));
                }
                (Vec::new(), difference)
            }
            Err(problems) => (problems.iter().map(|problem| problem.kind).take(4).collect(), difference),
        }
    });
}
