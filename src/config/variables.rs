//! Describes environment variables, for the documentation. Depends on nothing.

/// Environment variables that belong together, and what they do.
#[derive(Clone, Copy, Debug)]
pub struct EnvironmentVariables {
    /// The names, the first one the most important.
    pub names: &'static [&'static str],
    /// What they do, in Markdown.
    pub effect: &'static str,
}

/// Describes environment variables.
pub(super) const fn variables(names: &'static [&'static str], effect: &'static str) -> EnvironmentVariables {
    EnvironmentVariables { names, effect }
}
