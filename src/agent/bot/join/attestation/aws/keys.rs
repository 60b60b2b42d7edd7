//! Keys of AWS and names of its regions, of the form in which they may stand in a request. Pure.

use serde::Deserialize;

use super::super::{LARGEST, ProofError};
use super::{KEYS, REGION};

/// An access key. Has no `Debug`, so that it prints nowhere.
pub(super) struct Keys {
    id: String,
    secret: String,
    session_token: Option<String>,
}

/// How ECS, EKS and EC2 say it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct KeysAnswer {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
}

impl Keys {
    /// What `place` gave. An id and a session token stand in headers of the request that is signed.
    pub(super) fn new(
        id: &str,
        secret: &str,
        session_token: Option<&str>,
        place: &str,
    ) -> Result<Self, ProofError> {
        let malformed = |problem| KEYS.malformed(place, problem);
        let is_visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        let (id, secret) = (id.trim(), secret.trim());
        let session_token = session_token.map(str::trim).filter(|token| !token.is_empty());
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(malformed("the access key's id has to consist of letters and digits"));
        }
        if secret.is_empty() || !is_visible(secret) || !session_token.is_none_or(is_visible) {
            return Err(malformed("the secret key and the session token have to be visible ASCII"));
        }
        if id.len() + secret.len() + session_token.map_or(0, str::len) > LARGEST {
            return Err(malformed("they are longer than 64 KiB"));
        }
        let owned = str::to_owned;
        Ok(Self { id: owned(id), secret: owned(secret), session_token: session_token.map(owned) })
    }

    pub(super) fn from_answer(answer: &KeysAnswer, place: &str) -> Result<Self, ProofError> {
        Self::new(&answer.access_key_id, &answer.secret_access_key, answer.token.as_deref(), place)
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn secret(&self) -> &str {
        &self.secret
    }

    pub(super) fn session_token(&self) -> Option<&str> {
        self.session_token.as_deref()
    }

    /// All of it.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        [self.id(), self.secret()].into_iter().chain(self.session_token())
    }
}

/// The name of a region: `eu-central-1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Region(String);

/// Where regions are that are not under amazonaws.com, by how their names begin. Source: AWS's own list of partitions.
const SUFFIXES: [(&str, &str); 6] = [
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("us-isof-", "csp.hci.ic.gov"),
];

impl Region {
    /// What `place` gave.
    pub(super) fn new(name: &str, place: &str) -> Result<Self, ProofError> {
        let name = name.trim();
        let in_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=63).contains(&name.len()) && name.bytes().all(in_name) {
            Ok(Self(name.to_owned()))
        } else {
            Err(REGION.malformed(place, "write one as eu-central-1"))
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The host of the region's STS.
    pub(super) fn sts_host(&self) -> String {
        let found = SUFFIXES.iter().find(|(begins, _)| self.0.starts_with(begins));
        format!("sts.{}.{}", self.0, found.map_or("amazonaws.com", |(_, suffix)| suffix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_stand_in_a_request_is_no_key_and_is_not_repeated() {
        for (id, secret, token) in [
            ("", "hunter2", None),
            ("AKID/hunter2", "hunter2", None),
            ("AKID", "", None),
            ("AKID", "hunter2\r\nhunter2", None),
            ("AKID", "hunter2", Some("hunter2\r\nHost: hunter2")),
            ("AKID", "hunter2", Some("hünter2")),
            ("AKID", &"hunter2".repeat(10_000), None),
        ] {
            let refused = Keys::new(id, secret, token, "it").err().unwrap().to_string();
            assert!(refused.starts_with("it holds no AWS credentials: "), "{refused}");
            assert!(!refused.contains("unter2"), "{refused}");
        }
        let keys = Keys::new(" AKID\n", "a/b+c", Some(""), "it").ok().unwrap();
        assert_eq!(keys.all().collect::<Vec<_>>(), ["AKID", "a/b+c"]);
    }

    #[test]
    fn each_region_has_its_own_sts() {
        for (region, host) in [
            ("eu-central-1", "sts.eu-central-1.amazonaws.com"),
            ("us-gov-west-1", "sts.us-gov-west-1.amazonaws.com"),
            ("cn-north-1", "sts.cn-north-1.amazonaws.com.cn"),
            ("us-iso-east-1", "sts.us-iso-east-1.c2s.ic.gov"),
            ("us-isob-east-1", "sts.us-isob-east-1.sc2s.sgov.gov"),
            ("eusc-de-east-1", "sts.eusc-de-east-1.amazonaws.eu"),
        ] {
            assert_eq!(Region::new(region, "it").unwrap().sts_host(), host);
        }
        for bad in ["", "eu central", "a.example", "EU-CENTRAL-1", "a/b", "a\r\n", "a:1"] {
            assert_eq!(Region::new(bad, "it").is_ok(), bad == "a\r\n", "{bad}");
        }
    }
}
