//! Tests that the commands of the claims run something, and that no claim lacks a part.

use std::fs;
use std::path::{Path, PathBuf};

use xtask_launcher::root;

use super::*;

/// Returns the value of an option of a command.
fn option<'a>(words: &[&'a str], name: &str) -> Option<&'a str> {
    words.iter().skip_while(|word| **word != name).nth(1).copied()
}

/// Returns the directory with the modules of the tests that a command runs.
fn test_directory(words: &[&str]) -> PathBuf {
    let root = root().unwrap();
    if let Some(test) = option(words, "--test") {
        let directories = ["", "prehog", "xtask"].map(|package| root.join(package).join("tests").join(test));
        let has_tests = |path: &PathBuf| path.is_dir() || path.with_extension("rs").is_file();
        return directories.into_iter().find(has_tests).unwrap_or_else(|| panic!("no tests {test}"));
    }
    root.join(match (option(words, "--bin"), option(words, "--package")) {
        (Some("tbot"), _) => "src/bin/tbot",
        (Some(program), _) => return root.join(program).join("src"),
        (None, Some("tbot")) => "src",
        (None, Some("tbot-yaml")) => "src/yaml",
        (None, Some(package)) => return root.join(package).join("src"),
        (None, None) => panic!("{words:?} selects no target"),
    })
}

/// Returns the file with the tests that a filter such as `module::submodule::test` selects, and the rest of the filter.
fn file_of<'a>(directory: &Path, filter: &'a str) -> Option<(PathBuf, Vec<&'a str>)> {
    let parts: Vec<&str> = filter.split("::").collect();
    let of_module = |length| {
        let (modules, rest) = parts.split_at(length);
        (directory.join(modules.join("/")).with_extension("rs"), rest.to_vec())
    };
    let of_modules = (1..=parts.len()).rev().map(of_module);
    of_modules.chain([(directory.join("main.rs"), parts.clone())]).find(|(file, _)| file.exists())
}

/// Returns whether a filter names a file, or a function in a file.
fn is_a_test(directory: &Path, filter: &str) -> bool {
    file_of(directory, filter).is_some_and(|(file, rest)| match rest[..] {
        [] => true,
        [function] => fs::read_to_string(file).unwrap().contains(&format!("fn {function}(")),
        _ => false,
    })
}

#[test]
fn every_command_of_a_claim_runs_tests_that_exist() {
    let mut checked = 0;
    for check in CLAIMS.iter().flat_map(|claim| claim.checks) {
        for command in [check.command, check.full_command()] {
            if !Check::is_test(command) {
                continue;
            }
            let words: Vec<&str> = command.split(' ').collect();
            let directory = test_directory(&words);
            for filter in Check::filters(command) {
                assert!(is_a_test(&directory, filter), "{command}: no file or test is called {filter}");
            }
            checked += 1;
        }
    }
    assert!(checked > 30, "only {checked} commands were checked");
}

#[test]
fn every_test_that_the_privacy_review_names_checks_a_claim() {
    let root = root().unwrap();
    let page = fs::read_to_string(root.join("docs/privacy-review.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with('|'));
    let named: Vec<&str> = rows.flat_map(|row| row.split('`')).filter(|word| word.ends_with(".rs")).collect();
    assert!(named.len() > 10, "{named:?}");
    let runs = |command: &str, file: &Path| {
        let directory = test_directory(&command.split(' ').collect::<Vec<_>>());
        let mut filters = Check::filters(command).peekable();
        if filters.peek().is_none() {
            return file.starts_with(&directory);
        }
        filters.any(|filter| file_of(&directory, filter).is_some_and(|(selected, _)| selected == file))
    };
    for name in named {
        let mut commands = CLAIMS.iter().flat_map(|claim| claim.checks).map(|check| check.command);
        let is_checked = commands.any(|command| Check::is_test(command) && runs(command, &root.join(name)));
        assert!(is_checked, "no claim has a command that runs {name}");
    }
}

/// If a need were not declared, `cargo xtask prove` would report that a claim is not proven on a machine that cannot run its test.
#[test]
fn a_check_declares_what_its_ignored_tests_need() {
    let all: Vec<&Check> = CLAIMS.iter().flat_map(|claim| claim.checks).collect();
    let known: Vec<&str> = all.iter().flat_map(|check| check.needs(true)).collect();
    assert!(known.iter().all(|need| needs::command(need).is_some()), "{known:?}");
    let mut checked = 0;
    for check in all.iter().filter(|check| check.command.contains("ignored")) {
        assert!(!check.needs.is_empty(), "`{}` runs ignored tests", check.shows);
        let words: Vec<&str> = check.command.split(' ').collect();
        let directory = test_directory(&words);
        for filter in Check::filters(check.command) {
            let text = fs::read_to_string(file_of(&directory, filter).unwrap().0).unwrap();
            for (_, reason) in text.lines().filter_map(|line| line.split_once("ignore = ")) {
                for need in known.iter().filter(|need| reason.contains(**need)) {
                    assert!(check.needs.contains(need), "`{}` needs {need}", check.shows);
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 10, "only {checked} needs were checked");
}

#[test]
fn every_claim_is_complete() {
    for claim in CLAIMS {
        assert!(claim.statement.ends_with('.') && !claim.checks.is_empty(), "{}", claim.name);
        assert!(!claim.not_shown.is_empty(), "{} does not say what it does not show", claim.name);
        for check in claim.checks {
            for text in [check.shows, check.figure, check.mutation] {
                assert!(!text.is_empty() && !text.ends_with('.'), "{}: {text}", claim.name);
            }
        }
    }
}

/// Returns each name that a mutation gives as "`name` in `file`" or, for the file before it, as "`name` there", with the file.
fn names_and_files(mutation: &str) -> Vec<(&str, &str)> {
    // Every second part is in backticks.
    let parts: Vec<&str> = mutation.split('`').collect();
    let mut file = "";
    let mut named = Vec::new();
    for (index, name) in parts.iter().enumerate().skip(1).step_by(2) {
        match parts[index + 1..] {
            [" in ", path, ..] if path.ends_with(".rs") => file = path,
            [next, ..] if next.starts_with(" there") => {}
            _ => continue,
        }
        named.push((*name, file));
    }
    named
}

#[test]
fn every_mutation_names_functions_that_exist() {
    let named: Vec<_> = CLAIMS
        .iter()
        .flat_map(|claim| claim.checks)
        .flat_map(|check| names_and_files(check.mutation))
        .collect();
    assert!(named.len() > 20, "{named:?}");
    for (name, file) in named {
        let source = fs::read_to_string(root().unwrap().join(file)).unwrap();
        let item = name.rsplit("::").next().unwrap();
        let exists = ["fn", "const", "struct", "enum"].iter().any(|keyword| {
            let declaration = format!("{keyword} {item}");
            let mut ends =
                source.match_indices(&declaration).map(|(at, _)| &source[at + declaration.len()..]);
            ends.any(|rest| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_'))
        });
        assert!(exists, "{file} declares no {name}");
    }
}

#[test]
fn every_file_whose_mutants_are_listed_exists_and_has_a_check() {
    let list = fs::read_to_string(root().unwrap().join(".cargo/mutants.toml")).unwrap();
    let (_, files) = list.split_once("examine_globs = [").unwrap();
    let (files, _) = files.split_once(']').unwrap();
    let commands: Vec<&str> =
        CLAIMS.iter().flat_map(|claim| claim.checks).map(|check| check.command).collect();
    let files: Vec<&str> =
        files.lines().filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix("\",")).collect();
    assert!(files.len() > 10, "{files:?}");
    for file in files {
        let path = file.strip_suffix("/**/*.rs").unwrap_or(file);
        assert!(root().unwrap().join(path).exists(), "{file}");
        let checks = commands.iter().filter(|command| {
            Check::is_of_mutants(command)
                && command
                    .split("--re ")
                    .skip(1)
                    .any(|rest| file.starts_with(rest.split(' ').next().unwrap()))
        });
        assert_eq!(checks.count(), 1, "{file}");
    }
}
