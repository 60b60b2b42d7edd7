//! Builds one event for each directory under `tests/cases/event`, from its `tbot.yaml` and its optional `environment`. The
//! snapshot contains the value and provenance of each property, and the request body.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use tbot::config::{JoinMethod, Purpose, load};
use tbot::event::{BuildContext, BuiltEvent, Provenance};

const DISTINCT_ID: &str = "00000000-0000-4000-8000-000000000000";

#[test]
fn every_case_matches_its_snapshot() {
    insta::glob!("../cases/event", "*/tbot.yaml", |file| {
        let text = fs::read_to_string(file).unwrap();
        let loaded = load(Some(&text), &[], Purpose::Start);
        let effective = loaded.effective.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
        let environment = environment(file.parent().unwrap());
        let context = BuildContext { version: "1.2.3", environment: &|name| environment.get(name).cloned() };
        let built = BuiltEvent::for_config(&effective, context).unwrap();
        let body = serde_json::to_string_pretty(&built.request_body(DISTINCT_ID).unwrap()).unwrap();
        insta::assert_snapshot!("cases", format!("{}\n{body}", describe(&built)));
    });
}

#[test]
fn every_join_method_has_a_case() {
    for method in JoinMethod::ALL {
        let case = format!("tests/cases/event/join-method-{}", method.as_str().replace('_', "-"));
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(&case).join("tbot.yaml");
        let text = fs::read_to_string(&file).unwrap_or_else(|_| panic!("add {case}/tbot.yaml"));
        let effective = load(Some(&text), &[], Purpose::Start).effective.unwrap();
        assert_eq!(effective.config().onboarding.as_ref().unwrap().join_method, Some(*method), "{case}");
    }
}

fn environment(directory: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(directory.join("environment")).unwrap_or_default();
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn describe(built: &BuiltEvent) -> String {
    let mut lines = String::new();
    for property in built.properties() {
        let value = property.value.as_ref().map_or("(omitted)".to_owned(), ToString::to_string);
        let origin = match &property.provenance {
            Provenance::Config(pointers) => join(pointers),
            Provenance::Absent(pointers) => format!("no value at {}", join(pointers)),
            Provenance::Env { variable, outcome } => format!("{variable}: {outcome:?}"),
            Provenance::Build => "the build".to_owned(),
        };
        writeln!(lines, "{} = {value} from {origin}", property.name).unwrap();
    }
    lines
}

fn join(pointers: &[tbot::pointer::Pointer]) -> String {
    pointers.iter().map(tbot::pointer::Pointer::as_str).collect::<Vec<_>>().join(", ")
}
