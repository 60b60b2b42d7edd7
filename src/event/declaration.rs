//! Declares the `tbot.start` event: each property once, with its type and closed set of values, its source (`x-source`), the
//! reason for collecting it (`x-reason`), the parts of a report that answer the reason (`x-report`), the first version of the
//! event with it (`x-since`), and its representation on the wire (`x-wire`). Depends on serde and schemars, and on `config` for
//! join methods.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::JoinMethod;
use crate::config::closed_types::string_enum;
use crate::config::schema::generate_root;

/// The version of the event. Increment it with every change to the contents of the event.
pub const EVENT_VERSION: u32 = 2;

/// An anonymous record of one start of `tbot`: how it runs, how it joins, and how many destinations of each access class it has.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend(
    "x-version" = EVENT_VERSION,
    "x-transport" = {
        "method": "POST",
        "endpoint": "https://reporting-tbot.teleportinfra.sh",
        "endpoint_variable": "TELEPORT_ANONYMOUS_TELEMETRY_ADDRESS",
        "path": "/prehog.v1alpha.TbotReportingService/SubmitTbotEvent",
        "headers": {
            "Accept": "*/*",
            "Connect-Protocol-Version": "1",
            "Content-Type": "application/json",
            "User-Agent": "tbot",
        },
        "envelope": {
            "distinctId": "a UUID v4, fresh for every start and kept nowhere; it lets a receiver drop a repeated submission",
            "start": "the event",
        },
    },
))]
pub struct TbotStart {
    /// Whether the agent writes its outputs once and exits, or keeps running and renews them.
    #[schemars(example = &"continuous")]
    #[schemars(extend(
        "x-source" = {
            "config": "/oneshot",
            "absent": false,
            "values": { "true": "one-shot", "false": "continuous" },
        },
        "x-reason" = "Distinguishes CI jobs from long-running machines, whose requirements for renewal and start-up differ.",
        "x-report" = ["weekly", "by_use_case"],
        "x-since" = 1,
        "x-wire" = {
            "field": 1,
            "name": "runMode",
            "values": { "one-shot": "RUN_MODE_ONE_SHOT", "continuous": "RUN_MODE_DAEMON" },
        },
    ))]
    run_mode: RunMode,

    /// The version of `tbot`. Versions below 10.0.0 are those of the Rust `tbot`, which is this project; all others are those of
    /// the Go `tbot`.
    #[schemars(example = &"0.1.0", regex(pattern = r"^[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}(-(alpha|beta|rc|dev)(\.[0-9]{1,4})?)?$"))]
    #[schemars(extend(
        "x-source" = { "build": "version" },
        "x-reason" = "Shows which versions are in use: which of them can be dropped, and whether fixes are adopted.",
        "x-report" = ["weekly", "by_implementation"],
        "x-implementations" = { "Rust tbot": "0.0.0", "Go tbot": "10.0.0" },
        "x-since" = 1,
        "x-wire" = { "field": 2, "name": "version" },
    ))]
    version: String,

    /// The configured join method, whether from the file, a flag, a variable or the join URI.
    #[schemars(example = &"github")]
    #[schemars(extend(
        "x-source" = { "config": "/onboarding/join_method" },
        "x-reason" = "Shows from which platforms machines join, and so which join methods to work on.",
        "x-report" = ["weekly", "by_use_case"],
        "x-since" = 1,
        "x-wire" = { "field": 3, "name": "joinType" },
    ))]
    join_type: JoinMethod,

    /// The program that started `tbot`, if it identifies itself: its name if it is listed, otherwise `other`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Helper", example = &"gha:teleport-actions/auth")]
    #[schemars(extend(
        "x-source" = { "env": "_TBOT_TELEMETRY_HELPER", "unlisted": "other" },
        "x-reason" = "Shows how many starts come from one of Teleport's GitHub actions, and from which one.",
        "x-report" = ["weekly"],
        "x-since" = 1,
        "x-wire" = { "field": 4, "name": "helper" },
    ))]
    helper: Option<Helper>,

    /// The version of that program, if the program is listed: up to three numbers, and whether it is an alpha, a beta or a
    /// release candidate. The rest is cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", example = &"v1.2.3", regex(pattern = r"^v?[0-9]{1,2}(\.[0-9]{1,2}){0,2}(-(alpha|beta|rc))?$"))]
    #[schemars(extend(
        "x-source" = { "env": "_TBOT_TELEMETRY_HELPER_VERSION", "truncate": true, "requires": "helper" },
        "x-reason" = "Shows which versions of these actions are in use.",
        "x-report" = ["weekly"],
        "x-since" = 1,
        "x-wire" = { "field": 5, "name": "helperVersion" },
    ))]
    helper_version: Option<String>,

    /// The total number of entries in `services` and `outputs`. The request contains only the number of those that are in
    /// none of the three access classes below.
    #[schemars(example = 4, range(min = 0, max = 2_147_483_647))]
    #[schemars(extend(
        "x-source" = { "count": ["/services", "/outputs"] },
        "x-reason" = "Shows how many destinations a single agent serves.",
        "x-report" = ["by_implementation"],
        "x-since" = 1,
        "x-wire" = {
            "field": 6,
            "name": "destinationsOther",
            "minus": [
                "destinations_configured_database_access",
                "destinations_configured_kubernetes_access",
                "destinations_configured_application_access",
            ],
        },
    ))]
    destinations_configured: u32,

    /// The number of these entries that provide database access.
    #[schemars(example = 1, range(min = 0, max = 2_147_483_647))]
    #[schemars(extend(
        "x-source" = { "count": ["/services", "/outputs"], "access": "database" },
        "x-reason" = "Shows how widely Machine ID is used for databases.",
        "x-report" = ["weekly", "by_implementation"],
        "x-since" = 1,
        "x-wire" = { "field": 7, "name": "destinationsDatabase" },
    ))]
    destinations_configured_database_access: u32,

    /// The number of these entries that provide Kubernetes access.
    #[schemars(example = 1, range(min = 0, max = 2_147_483_647))]
    #[schemars(extend(
        "x-source" = { "count": ["/services", "/outputs"], "access": "kubernetes" },
        "x-reason" = "Shows how widely Machine ID is used for Kubernetes.",
        "x-report" = ["weekly", "by_implementation"],
        "x-since" = 1,
        "x-wire" = { "field": 8, "name": "destinationsKubernetes" },
    ))]
    destinations_configured_kubernetes_access: u32,

    /// The number of these entries that provide application access.
    #[schemars(example = 1, range(min = 0, max = 2_147_483_647))]
    #[schemars(extend(
        "x-source" = { "count": ["/services", "/outputs"], "access": "application" },
        "x-reason" = "Shows how widely Machine ID is used for applications.",
        "x-report" = ["weekly", "by_implementation"],
        "x-since" = 1,
        "x-wire" = { "field": 9, "name": "destinationsApplication" },
    ))]
    destinations_configured_application_access: u32,
}

string_enum! {
    /// Whether the agent exits or keeps running.
    pub enum RunMode {
        /// It writes its outputs once and exits.
        OneShot = "one-shot",
        /// It keeps running and renews its outputs.
        Continuous = "continuous",
    }
}

string_enum! {
    // The programs of Teleport that set the variable. Sources, as of 2026-11: the list of actions in the README of
    // github.com/teleport-actions/root, and the name that each passes to tbot in actions/*/src/index.ts. `setup` does not
    // start tbot. To list another program, add a row here and increment EVENT_VERSION.
    /// A program that starts `tbot` on behalf of the user.
    pub enum Helper {
        /// The GitHub action `teleport-actions/auth`.
        Auth = "gha:teleport-actions/auth",
        /// The GitHub action `teleport-actions/auth-k8s`.
        AuthK8s = "gha:teleport-actions/auth-k8s",
        /// The GitHub action `teleport-actions/auth-application`.
        AuthApplication = "gha:teleport-actions/auth-application",
        /// The GitHub action `teleport-actions/application-tunnel`.
        ApplicationTunnel = "gha:teleport-actions/application-tunnel",
        /// The GitHub action `teleport-actions/application-proxy`.
        ApplicationProxy = "gha:teleport-actions/application-proxy",
        /// The GitHub action `teleport-actions/database-tunnel`.
        DatabaseTunnel = "gha:teleport-actions/database-tunnel",
        /// Any other program. Its name is not sent.
        Other = "other",
    }
}

/// Generates the schema of the event from its declaration.
pub fn generate_schema() -> Value {
    generate_root::<TbotStart>("tbot.start.schema.json", "tbot.start")
}
