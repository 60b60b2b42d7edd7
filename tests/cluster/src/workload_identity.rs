//! Workload identities, and their selection by labels.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::authorities::MAX_TTL;
use crate::proto::LabelSelector;

/// A workload identity, from which SVIDs are issued.
#[derive(Clone, Debug)]
pub struct WorkloadIdentity {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    /// The path of the SPIFFE ID, with the leading slash.
    pub path: String,
    pub max_ttl: Duration,
    /// The defect of the issued SVIDs, or `None` if they are correct.
    pub forgery: Option<Forgery>,
}

/// A defect in an issued SVID that no correct server produces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgery {
    /// A certificate for another key, or a token for another audience.
    WrongRecipient,
    /// An SVID with a different SPIFFE ID than the response says.
    WrongSpiffeId,
    /// An SVID that has expired.
    Expired,
    /// Bytes that are not an SVID.
    Garbage,
}

impl WorkloadIdentity {
    pub fn new(name: &str, path: &str) -> Self {
        Self {
            name: name.to_owned(),
            labels: BTreeMap::new(),
            path: path.to_owned(),
            max_ttl: MAX_TTL,
            forgery: None,
        }
    }

    #[must_use]
    pub fn with_label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    #[must_use]
    pub fn with_forgery(self, forgery: Forgery) -> Self {
        Self { forgery: Some(forgery), ..self }
    }

    /// Whether all selectors match. The value `*` matches any value. The key `*` with the value `*` matches even
    /// an identity without labels.
    pub(crate) fn is_selected(&self, selectors: &[LabelSelector]) -> bool {
        let matches_any = |values: &[String]| values.iter().any(|value| value == "*");
        selectors.iter().all(|LabelSelector { key, values }| match self.labels.get(key) {
            Some(value) => matches_any(values) || values.contains(value),
            None => key == "*" && matches_any(values),
        })
    }
}
