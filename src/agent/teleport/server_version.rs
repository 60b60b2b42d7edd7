//! Parses the version of a Teleport server.

use std::str::FromStr;

/// The numbers of a version: 17.2.1 for `v17.2.1-rc.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ServerVersion {
    major: u32,
    minor: u32,
    patch: u32,
}

impl ServerVersion {
    pub(crate) const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }
}

impl FromStr for ServerVersion {
    type Err = std::num::ParseIntError;

    fn from_str(version: &str) -> Result<Self, Self::Err> {
        let version = version.trim_start_matches('v');
        let release = version.split(['-', '+']).next().unwrap_or(version);
        let mut numbers = release.split('.').map(u32::from_str);
        let mut next = |missing| numbers.next().unwrap_or(missing);
        Ok(Self { major: next(Ok(0))?, minor: next(Ok(0))?, patch: next(Ok(0))? })
    }
}

/// Returns the major version of a string such as `15.0.0-dev`, or 0 if it cannot be read.
pub(crate) fn major(version: &str) -> u32 {
    version.parse().map_or(0, |version: ServerVersion| version.major)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_parsed() {
        assert_eq!([major("15.0.0-dev"), major("v17.2.1"), major("")], [15, 17, 0]);
    }

    #[test]
    fn versions_are_compared_by_their_numbers() {
        let parse = |version: &str| version.parse::<ServerVersion>().ok();
        let sorted = ["15.0.0-dev", "16.4.17", "v17.2.1", "17.2.7-rc.1", "17.10.0", "18"].map(parse);
        assert!(sorted.is_sorted_by(|older, newer| older.is_some() && older < newer), "{sorted:?}");
        assert_eq!(parse("17.2.7+build.5"), Some(ServerVersion::new(17, 2, 7)));
        for unknown in ["", "nightly", "17.x.1", "17."] {
            assert_eq!(parse(unknown), None, "{unknown}");
        }
    }
}
