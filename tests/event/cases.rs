//! Case folders: `tbot.yaml` and, where there is one, `environment`; the snapshot is the event, where each of its
//! properties came from, and the body that carries it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use tbot::config::{Purpose, load};
use tbot::event::{Built, Facts, Provenance, Rules, body, build};

const ID: &str = "00000000-0000-4000-8000-000000000000";

#[test]
fn cases() {
    insta::glob!("../cases/event", "*/tbot.yaml", |file| {
        let text = fs::read_to_string(file).unwrap();
        let loaded = load(Some(&text), &[], Purpose::Start);
        let effective = loaded.effective.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
        let environment = environment(file.parent().unwrap());
        let rules = Rules::embedded().unwrap();
        let facts = Facts { version: "1.2.3", environment: &|name| environment.get(name).cloned() };
        let built = build(&rules, effective.value(), facts).unwrap();
        let sent = serde_json::to_string_pretty(&body(&rules, &built.event, ID)).unwrap();
        insta::assert_snapshot!(format!("{}\n{sent}", describe(&built)));
    });
}

fn environment(folder: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(folder.join("environment")).unwrap_or_default();
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn describe(built: &Built) -> String {
    let mut lines = String::new();
    for property in &built.properties {
        let value = property.value.as_ref().map_or("(left out)".to_owned(), ToString::to_string);
        let origin = match &property.provenance {
            Provenance::Config(pointers) => join(pointers),
            Provenance::Absent(pointers) => format!("nothing at {}", join(pointers)),
            Provenance::Env { variable, verdict } => format!("{variable}: {verdict:?}"),
            Provenance::Build => "the build".to_owned(),
        };
        writeln!(lines, "{} = {value} from {origin}", property.name).unwrap();
    }
    lines
}

fn join(pointers: &[tbot::pointer::Pointer]) -> String {
    pointers.iter().map(tbot::pointer::Pointer::as_str).collect::<Vec<_>>().join(", ")
}
