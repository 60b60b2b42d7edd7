//! The version of a Teleport server.

/// The major of a version such as `15.0.0-dev`; 0 when there is none, which asks for the oldest forms.
pub(crate) fn major(version: &str) -> u32 {
    version.trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_major_is_read_from_its_version() {
        assert_eq!([major("15.0.0-dev"), major("v17.2.1"), major("")], [15, 17, 0]);
    }
}
