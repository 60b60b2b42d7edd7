//! Parses the version of a Teleport server.

/// Returns the major version of a string such as `15.0.0-dev`, or 0 if there is none.
pub(crate) fn major(version: &str) -> u32 {
    version.trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_parsed() {
        assert_eq!([major("15.0.0-dev"), major("v17.2.1"), major("")], [15, 17, 0]);
    }
}
