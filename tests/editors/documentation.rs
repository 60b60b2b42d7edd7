//! The files for CI systems that the documentation shows match the schemas of those systems, which check-jsonschema contains.

use std::fs;
use std::process::Command;

use tbot_documentation::Page;

use crate::tools::tool;

/// Each page, a line that only its file for the CI system contains, and the name of the schema.
const FILES: [(&str, &str, &str); 3] = [
    ("docs/how-to/github-actions.md", "    runs-on: ubuntu-latest\n", "vendor.github-workflows"),
    ("docs/how-to/gitlab-ci.md", "  id_tokens:\n", "vendor.gitlab-ci"),
    ("docs/telemetry-helper.md", "  using: composite\n", "vendor.github-actions"),
];

#[test]
#[ignore = "needs check-jsonschema: .ci/editors"]
fn the_files_for_ci_systems_match_their_schemas() {
    let directory = tempfile::tempdir().unwrap();
    for (page, line, schema) in FILES {
        let block =
            Page::read(page).code_blocks().into_iter().find(|block| block.text.contains(line)).unwrap();
        let file = directory.path().join("file.yaml");
        fs::write(&file, block.text).unwrap();
        let output = Command::new(tool("python/bin/check-jsonschema"))
            .args(["--builtin-schema", schema])
            .arg(&file)
            .output()
            .unwrap();
        assert!(output.status.success(), "{page}: {}", String::from_utf8_lossy(&output.stdout));
    }
}
