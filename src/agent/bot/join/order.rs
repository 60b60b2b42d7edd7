//! Decides which join protocols are tried, and in which order. Pure.

use crate::config::JoinMethod;

/// The join protocols to try. The second one is tried only if the server does not offer the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JoinOrder {
    LegacyOnly,
    LegacyFirst,
    V1First,
    V1Only,
}

/// Returns the order for a server of this major version. If the version is 0, it is unknown, and both protocols are tried. `lacks_v1`
/// means that an earlier attempt has shown that this server does not offer join v1, which was added in a release of version 18.
pub(super) fn order(method: JoinMethod, version: u32, lacks_v1: bool) -> JoinOrder {
    match (version, method) {
        (_, JoinMethod::GenericOidc) => JoinOrder::V1Only,
        (1..=17, _) => JoinOrder::LegacyOnly,
        // An attempt uses up the token, so it is spent on the protocol that was tested with a real server.
        (0 | 18 | 19, JoinMethod::Token) => JoinOrder::LegacyFirst,
        // Join v1 also downloads certificates from Microsoft, which not every machine can.
        (0 | 18 | 19, JoinMethod::Azure) => JoinOrder::LegacyFirst,
        (0 | 18 | 19, _) if lacks_v1 => JoinOrder::LegacyOnly,
        (0 | 18 | 19, _) => JoinOrder::V1First,
        _ => JoinOrder::V1Only,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_depends_on_the_servers_version_and_the_method() {
        use JoinMethod::{GenericOidc, Github, Token};
        for version in 0..20 {
            assert_eq!(order(GenericOidc, version, true), JoinOrder::V1Only);
        }
        for version in [14, 15, 16, 17] {
            assert_eq!(order(Github, version, false), JoinOrder::LegacyOnly);
            assert_eq!(order(Token, version, false), JoinOrder::LegacyOnly);
        }
        for version in [0, 18, 19] {
            assert_eq!(order(Github, version, false), JoinOrder::V1First);
            assert_eq!(order(Github, version, true), JoinOrder::LegacyOnly);
            assert_eq!(order(Token, version, false), JoinOrder::LegacyFirst);
            assert_eq!(order(Token, version, true), JoinOrder::LegacyFirst);
        }
        for version in [20, 21] {
            assert_eq!(order(Github, version, true), JoinOrder::V1Only);
            assert_eq!(order(Token, version, false), JoinOrder::V1Only);
        }
    }
}
