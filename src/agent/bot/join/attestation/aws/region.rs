//! Validates the names of AWS regions, and returns the hosts of their STS. Pure.

use crate::agent::bot::join::attestation::error::{AttestationError, RequestContext};

pub(super) const AWS_REGION: RequestContext = RequestContext {
    item: "AWS region",
    hint: "onboarding.join_method iam needs AWS_REGION in the environment, a profile with a region, or an EC2 instance",
};

/// The name of a region, such as `eu-central-1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Region(String);

/// The domains of regions that are not in `amazonaws.com`, by the prefix of the region's name. Source: AWS's list of
/// partitions.
const DOMAINS: [(&str, &str); 6] = [
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("us-isof-", "csp.hci.ic.gov"),
];

impl Region {
    /// Parses the name of a region. `location` says in an error where `name` comes from.
    pub(super) fn parse(name: &str, location: &str) -> Result<Self, AttestationError> {
        let name = name.trim();
        let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=63).contains(&name.len()) && name.bytes().all(is_allowed) {
            Ok(Self(name.to_owned()))
        } else {
            Err(AWS_REGION.malformed(location, "expected a name such as eu-central-1"))
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn sts_host(&self) -> String {
        let domain = DOMAINS.iter().find(|(prefix, _)| self.0.starts_with(prefix));
        format!("sts.{}.{}", self.0, domain.map_or("amazonaws.com", |(_, domain)| domain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sts_host_is_in_the_domain_of_the_regions_partition() {
        for (region, host) in [
            ("eu-central-1", "sts.eu-central-1.amazonaws.com"),
            ("us-gov-west-1", "sts.us-gov-west-1.amazonaws.com"),
            ("cn-north-1", "sts.cn-north-1.amazonaws.com.cn"),
            ("us-iso-east-1", "sts.us-iso-east-1.c2s.ic.gov"),
            ("us-isob-east-1", "sts.us-isob-east-1.sc2s.sgov.gov"),
            ("eusc-de-east-1", "sts.eusc-de-east-1.amazonaws.eu"),
        ] {
            assert_eq!(Region::parse(region, "test").unwrap().sts_host(), host);
        }
    }

    #[test]
    fn a_region_cannot_change_the_host_or_add_a_header() {
        for invalid in ["", "eu central", "a.example", "EU-CENTRAL-1", "a/b", "a\r\nb", "a:1"] {
            assert!(Region::parse(invalid, "test").is_err(), "{invalid}");
        }
        assert_eq!(Region::parse("a\r\n", "test").unwrap().as_str(), "a");
    }
}
