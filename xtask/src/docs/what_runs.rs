//! What this version runs, in pages that are otherwise written by hand: the lists of docs/moving-from-the-go-agent.md, and the
//! numbers of README.md.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use tbot::config::{JoinMethod, ServiceType};

use super::markdown::code;
use crate::generated::GeneratedFile;

const LISTS: &str = "docs/moving-from-the-go-agent.md";
const NUMBERS: &str = "README.md";

/// Returns the two pages below `root` with the current lists and numbers.
///
/// # Errors
///
/// Returns an error if a page cannot be read, or has no row for a list or a number.
pub(super) fn pages(root: &Path) -> Result<Vec<GeneratedFile>> {
    let mut lists = read(root, LISTS)?;
    let mut numbers = read(root, NUMBERS)?;
    for (kind, Names { running, missing }) in
        [("service types", service_types()), ("join methods", join_methods())]
    {
        let list = |names: &[&str]| names.iter().map(|name| code(name)).collect::<Vec<_>>().join(", ");
        lists.replace(&format!("| {kind} that run | "), &list(&running), " |")?;
        lists.replace(&format!("| {kind} that do not run yet | "), &list(&missing), " |")?;
        let number = format!("{} of {}", running.len(), running.len() + missing.len());
        numbers.replace(&format!("| {kind} | "), &number, " run")?;
    }
    Ok(vec![lists.into_file(), numbers.into_file()])
}

/// The names of all values of a setting.
struct Names {
    running: Vec<&'static str>,
    missing: Vec<&'static str>,
}

impl Names {
    fn new(names: impl Iterator<Item = (&'static str, bool)>) -> Self {
        let (running, missing): (Vec<_>, Vec<_>) = names.partition(|(_, runs)| *runs);
        let names = |pairs: Vec<(&'static str, bool)>| pairs.into_iter().map(|(name, _)| name).collect();
        Self { running: names(running), missing: names(missing) }
    }
}

fn service_types() -> Names {
    Names::new(ServiceType::ALL.iter().map(|service_type| (service_type.name, service_type.supported)))
}

fn join_methods() -> Names {
    Names::new(JoinMethod::ALL.iter().map(|method| (method.as_str(), method.supported().is_some())))
}

/// A page with parts that are generated.
struct HandWrittenPage {
    path: &'static str,
    content: String,
}

fn read(root: &Path, path: &'static str) -> Result<HandWrittenPage> {
    let content = fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {path}"))?;
    Ok(HandWrittenPage { path, content })
}

impl HandWrittenPage {
    /// Replaces what is between a text and the next occurrence of another one.
    fn replace(&mut self, before: &str, content: &str, after: &str) -> Result<()> {
        let missing = || format!("{} has no row `{before}...{after}`", self.path);
        let start = self.content.find(before).with_context(missing)? + before.len();
        let length = self.content.get(start..).and_then(|rest| rest.find(after)).with_context(missing)?;
        self.content.replace_range(start..start + length, content);
        Ok(())
    }

    fn into_file(self) -> GeneratedFile {
        GeneratedFile { path: self.path.to_owned(), content: self.content }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> HandWrittenPage {
        HandWrittenPage { path: "page.md", content: "| a | 1 run |\n| b | 2 run |\n".to_owned() }
    }

    #[test]
    fn only_the_part_between_two_texts_is_replaced() {
        let mut page = page();
        page.replace("| b | ", "3 of 4", " run").unwrap();
        assert_eq!(page.content, "| a | 1 run |\n| b | 3 of 4 run |\n");
    }

    #[test]
    fn a_page_without_the_row_is_an_error() {
        for (before, after) in [("| c | ", " run"), ("| b | ", " runs")] {
            let error = page().replace(before, "3", after).unwrap_err();
            assert_eq!(error.to_string(), format!("page.md has no row `{before}...{after}`"));
        }
    }
}
