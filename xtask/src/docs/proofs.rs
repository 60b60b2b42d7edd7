//! docs/proofs.md: each claim, how to check it, and how much an event reveals.

use anyhow::{Context as _, Result};
use tbot::event::internal::{PropertySource, Rule, Rules, ValueSet};

use super::markdown::{code, table};
use crate::proofs::{CLAIMS, Check, Claim};

const NOTICE: &str =
    "<!-- Generated from xtask/src/proofs/claims.rs by `cargo xtask docs`; do not edit. -->\n";

/// The number of destinations in the example of the budget.
const EXAMPLE_DESTINATIONS: u32 = 20;

/// Returns the page.
///
/// # Errors
///
/// Returns an error if a property of the event does not have a closed set of values.
pub(super) fn page(rules: &Rules) -> Result<String> {
    let claims: String = CLAIMS.iter().map(section).collect();
    Ok(format!(include_str!("proofs/page.md"), notice = NOTICE, claims = claims, budget = budget(rules)?,))
}

fn section(claim: &Claim) -> String {
    let mut section = format!("\n## {}\n\n{}\n", claim.name, claim.statement);
    for check in claim.checks {
        section += &format!("\n### {}\n\n{}", check.shows, commands(check));
        section += &needs(check);
        section += &format!(
            "- Recorded result: {}.\n- Tried once by hand: fails if {}.\n",
            check.figure, check.mutation
        );
    }
    section += "\nIt does not show:\n\n";
    section += &claim.not_shown.iter().map(|limit| format!("- {limit}.\n")).collect::<String>();
    section
}

fn commands(check: &Check) -> String {
    let mut commands = "<!-- not run: a test itself -->\n```sh\n".to_owned();
    if !check.runs(false) {
        commands += "# only in the long version\n";
    }
    commands += &format!("{}\n", check.command);
    if check.full_command() != check.command {
        commands += &format!("# the long version\n{}\n", check.full_command());
    }
    commands + "```\n\n"
}

/// Returns a line that names what a check needs besides Rust and a C compiler, or nothing.
fn needs(check: &Check) -> String {
    let [short, full] = [false, true].map(|is_full| check.needs(is_full).join(", "));
    match (&*short, &*full) {
        ("", "") => String::new(),
        ("", full) => format!("- The long version needs: {full}.\n"),
        (short, full) if short == full => format!("- Needs: {short}.\n"),
        (short, full) => format!("- Needs: {short}; the long version: {full}.\n"),
    }
}

/// Returns a table of how many values each property can have, and how many bits that is.
fn budget(rules: &Rules) -> Result<String> {
    let mut rows = Vec::new();
    let mut total = 0.0;
    for rule in &rules.properties {
        let size = size(rule)?;
        let (values, bits) = if is_the_same_everywhere(rule) {
            ("1 per release".to_owned(), "log₂ of the number of releases in use".to_owned())
        } else {
            total += bits(size);
            (size.to_string(), format!("{:.1}", bits(size)))
        };
        let kind = match (&rule.values, &rule.source) {
            (_, PropertySource::Build(_)) => "the same on every machine with a release",
            (ValueSet::Count { .. }, _) => "a count",
            (ValueSet::Enum(_), _) => "one of a list",
            (ValueSet::Pattern(_), _) => "matches a pattern",
        };
        let missing = if rule.required { "" } else { ", or missing" };
        rows.push(vec![code(&rule.name), format!("{kind}{missing}"), values, bits]);
    }
    rows.push(vec!["all but the version".to_owned(), String::new(), String::new(), format!("{total:.1}")]);
    let counts = count_properties(rules);
    let combinations = combinations(EXAMPLE_DESTINATIONS, counts);
    let others = total_without_counts(rules)?;
    Ok(format!(
        "{}\n{}",
        table(&["property", "values", "how many at most", "bits at most"], &rows),
        format_args!(
            include_str!("proofs/budget.md"),
            destinations = EXAMPLE_DESTINATIONS,
            combinations = combinations,
            bits = format_args!("{:.1}", bits(combinations)),
            others = format_args!("{others:.1}"),
        ),
    ))
}

/// Returns how many values a property can have, including that it is missing.
fn size(rule: &Rule) -> Result<u128> {
    let size = rule.values.size().with_context(|| format!("`{}` has no closed set of values", rule.name))?;
    Ok(size + u128::from(!rule.required))
}

fn is_the_same_everywhere(rule: &Rule) -> bool {
    matches!(rule.source, PropertySource::Build(_))
}

fn is_count(rule: &&Rule) -> bool {
    matches!(rule.values, ValueSet::Count { .. })
}

fn count_properties(rules: &Rules) -> u32 {
    u32::try_from(rules.properties.iter().filter(is_count).count()).unwrap_or(u32::MAX)
}

fn total_without_counts(rules: &Rules) -> Result<f64> {
    let others = rules.properties.iter().filter(|rule| !is_count(rule) && !is_the_same_everywhere(rule));
    others.map(|rule| Ok(bits(size(rule)?))).sum()
}

/// Returns in how many ways at most `destinations` can be spread over classes.
fn combinations(destinations: u32, classes: u32) -> u128 {
    (1..=u128::from(classes)).fold(1, |ways, class| ways * (u128::from(destinations) + class) / class)
}

#[expect(clippy::cast_precision_loss, reason = "a rounded number for people")]
fn bits(size: u128) -> f64 {
    (size as f64).log2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combinations_are_counted() {
        // None, or one in the first or the second class.
        assert_eq!(combinations(1, 2), 3);
        assert_eq!(combinations(20, 4), 10_626);
    }

    /// A change that lets an event reveal more has to change this test.
    #[test]
    fn the_budget_of_an_event_does_not_grow_unnoticed() {
        let rules = Rules::embedded().unwrap();
        let bits = format!("{:.2}", total_without_counts(rules).unwrap());
        let budget = (rules.properties.len(), count_properties(rules), &*bits);
        assert_eq!(
            budget,
            (9, 4, "31.44"),
            "an event reveals more or less than before: if that is intended, write the new budget into this test"
        );
    }
}
