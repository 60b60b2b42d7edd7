//! Validates the names of AWS regions, and chooses the endpoint of STS. Pure.

use crate::agent::bot::join::attestation::error::{AttestationError, RequestContext};

pub(super) const AWS_REGION: RequestContext = RequestContext {
    item: "AWS region",
    hint: "set AWS_REGION in the environment, or a region in the profile",
};

/// The region whose STS is used if no region is known. STS returns the same identity in every region of a partition.
const DEFAULT_REGION: &str = "us-east-1";
/// The regions whose STS has a FIPS endpoint of another name. Source: AWS's list of FIPS endpoints.
const FIPS_REGIONS: [&str; 4] = ["us-east-1", "us-east-2", "us-west-1", "us-west-2"];
/// Regions whose STS has only FIPS endpoints begin with this.
const GOVERNMENT: &str = "us-gov-";

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

    /// Returns the domain of the region's partition if that is not the standard one.
    fn special_domain(&self) -> Option<&'static str> {
        DOMAINS.iter().find(|(prefix, _)| self.0.starts_with(prefix)).map(|(_, domain)| *domain)
    }
}

impl Default for Region {
    fn default() -> Self {
        Self(DEFAULT_REGION.to_owned())
    }
}

/// An endpoint of STS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StsEndpoint {
    /// The region for which requests are signed.
    pub(super) region: Region,
    pub(super) host: String,
}

impl StsEndpoint {
    /// Returns the endpoint of a region.
    pub(super) fn new(region: Region) -> Self {
        let domain = region.special_domain().unwrap_or("amazonaws.com");
        Self { host: format!("sts.{}.{domain}", region.as_str()), region }
    }

    /// Returns the FIPS endpoint of a region. If the region has none, returns that of the default region, unless that is in another
    /// partition.
    pub(super) fn fips(region: Region) -> Self {
        if region.special_domain().is_some() || region.0.starts_with(GOVERNMENT) {
            return Self::new(region);
        }
        let has_endpoint = FIPS_REGIONS.contains(&region.as_str());
        let region = if has_endpoint { region } else { Region::default() };
        Self { host: format!("sts-fips.{}.amazonaws.com", region.as_str()), region }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_an_endpoint_is_in_the_domain_of_the_regions_partition() {
        for (region, host) in [
            ("eu-central-1", "sts.eu-central-1.amazonaws.com"),
            ("us-gov-west-1", "sts.us-gov-west-1.amazonaws.com"),
            ("cn-north-1", "sts.cn-north-1.amazonaws.com.cn"),
            ("us-iso-east-1", "sts.us-iso-east-1.c2s.ic.gov"),
            ("us-isob-east-1", "sts.us-isob-east-1.sc2s.sgov.gov"),
            ("eusc-de-east-1", "sts.eusc-de-east-1.amazonaws.eu"),
        ] {
            assert_eq!(StsEndpoint::new(Region::parse(region, "test").unwrap()).host, host);
        }
    }

    #[test]
    fn a_region_without_a_fips_endpoint_uses_that_of_another_one_in_its_partition() {
        for (region, signed_for, host) in [
            ("us-west-2", "us-west-2", "sts-fips.us-west-2.amazonaws.com"),
            ("eu-central-1", "us-east-1", "sts-fips.us-east-1.amazonaws.com"),
            ("us-gov-west-1", "us-gov-west-1", "sts.us-gov-west-1.amazonaws.com"),
            ("cn-north-1", "cn-north-1", "sts.cn-north-1.amazonaws.com.cn"),
        ] {
            let endpoint = StsEndpoint::fips(Region::parse(region, "test").unwrap());
            assert_eq!((endpoint.region.as_str(), endpoint.host.as_str()), (signed_for, host), "{region}");
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
