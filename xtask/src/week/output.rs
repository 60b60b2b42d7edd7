//! The outputs of the agent, and what is known about the credentials in each of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Result;
use serde_json::{Value, json};

use super::credentials::Credentials;
use super::time_units::{HOUR, MINUTE};

/// The declaration of an output.
pub(super) struct OutputSpec {
    /// The name of its directory.
    pub(super) name: &'static str,
    /// Its type and its properties, as JSON.
    service: &'static str,
    pub(super) ttl: Duration,
    pub(super) interval: Duration,
    /// How many certificates a renewal requests: often one for the roles, and with it another one for the resource.
    pub(super) requests: u32,
    /// Whether its directory is on the small disk.
    pub(super) is_on_small_disk: bool,
    read: fn(&Path) -> Result<Credentials>,
}

impl OutputSpec {
    /// An output that is renewed three times during the lifetime of its credentials.
    const HOURLY: Self = Self {
        name: "ssh-user",
        service: r#"{"type":"identity"}"#,
        ttl: HOUR,
        interval: Duration::from_secs(20 * 60),
        requests: 1,
        is_on_small_disk: false,
        read: Credentials::of_user,
    };
}

/// All outputs.
pub(super) const OUTPUTS: [OutputSpec; 7] = [
    OutputSpec::HOURLY,
    OutputSpec {
        name: "ssh-host",
        service: r#"{"type":"ssh_host","principals":["host.dev.test"]}"#,
        requests: 2,
        read: Credentials::of_host,
        ..OutputSpec::HOURLY
    },
    OutputSpec {
        name: "kubernetes",
        service: r#"{"type":"kubernetes","kubernetes_cluster":"kube"}"#,
        requests: 2,
        ..OutputSpec::HOURLY
    },
    OutputSpec {
        name: "application",
        service: r#"{"type":"application","app_name":"app"}"#,
        requests: 2,
        ..OutputSpec::HOURLY
    },
    OutputSpec {
        name: "day-long",
        ttl: Duration::from_secs(24 * 60 * 60),
        interval: Duration::from_secs(2 * 60 * 60),
        ..OutputSpec::HOURLY
    },
    OutputSpec { name: "small-disk", is_on_small_disk: true, ..OutputSpec::HOURLY },
    OutputSpec {
        name: "small-disk-day-long",
        ttl: Duration::from_secs(24 * 60 * 60),
        interval: Duration::from_secs(2 * 60 * 60),
        is_on_small_disk: true,
        ..OutputSpec::HOURLY
    },
];

impl OutputSpec {
    /// Returns the output as a part of the configuration.
    ///
    /// # Errors
    ///
    /// Returns an error if the declaration is not JSON.
    pub(super) fn configuration(&self, directory: &Path) -> Result<Value> {
        let mut service: Value = serde_json::from_str(self.service)?;
        service["name"] = json!(self.name);
        service["destination"] = json!({ "type": "directory", "path": directory });
        service["credential_ttl"] = json!(format!("{}s", self.ttl.as_secs()));
        service["renewal_interval"] = json!(format!("{}s", self.interval.as_secs()));
        Ok(service)
    }

    /// Returns how often the credentials are renewed in an hour, at least and at most: an interval may be a tenth shorter.
    pub(super) fn renewals_per_hour(&self) -> (u32, u32) {
        let longest = self.interval + MINUTE;
        let whole = |number: f64| number as u32;
        let least = whole((HOUR.as_secs_f64() / longest.as_secs_f64()).floor());
        let most = whole((HOUR.as_secs_f64() / self.interval.mul_f64(0.9).as_secs_f64()).ceil());
        (least, most)
    }
}

/// The known state of an output.
pub(super) struct OutputState {
    pub(super) spec: &'static OutputSpec,
    directory: PathBuf,
    /// The set that was read last: the target of the link to it.
    link: PathBuf,
    pub(super) current: Option<Credentials>,
    /// How often it has changed in the current hour.
    pub(super) renewals: u32,
    /// How long it has been expired on the current day.
    pub(super) expired: Duration,
}

/// The changes of an output since the last look.
pub(super) enum Change {
    None,
    Renewed,
    Broken(String),
}

impl OutputState {
    pub(super) fn new(spec: &'static OutputSpec, directory: PathBuf) -> Self {
        Self { spec, directory, link: PathBuf::new(), current: None, renewals: 0, expired: Duration::ZERO }
    }

    /// Reads the credentials if they have changed.
    pub(super) fn look(&mut self) -> Change {
        let data = self.directory.join("..data");
        let Ok(link) = fs::read_link(&data) else { return Change::None };
        if link == self.link {
            return Change::None;
        }
        self.link = link;
        match (self.spec.read)(&data) {
            Ok(credentials) => {
                self.current = Some(credentials);
                self.renewals += 1;
                Change::Renewed
            }
            Err(error) => {
                self.current = None;
                Change::Broken(format!("{error:#}"))
            }
        }
    }

    pub(super) fn is_valid(&self, now: SystemTime) -> bool {
        self.current.as_ref().is_some_and(|credentials| credentials.not_after > now)
    }
}
