//! The declarations of the `tbot.start` event: each property once, with its type and closed values, where it comes from
//! (`x-source`), why it is collected (`x-reason`), since which version of the event (`x-since`), and its place on the
//! wire (`x-wire`). Depends on serde and schemars only.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::JoinMethod;
use crate::config::closed::string_enum;

/// The version of the event. Raise it with every change of what the event holds.
pub const EVENT_VERSION: u32 = 1;

/// One start of `tbot`, anonymously: how it runs, how it joins, and how many destinations of which kind it has.
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
    /// Whether the agent writes its outputs once and ends, or keeps running and renews them.
    #[schemars(example = &"continuous")]
    #[schemars(extend(
        "x-source" = {
            "config": "/oneshot",
            "absent": false,
            "values": { "true": "one-shot", "false": "continuous" },
        },
        "x-reason" = "Tells CI jobs from long-running machines, which need different things of renewal and start-up.",
        "x-since" = 1,
        "x-wire" = {
            "field": 1,
            "name": "runMode",
            "values": { "one-shot": "RUN_MODE_ONE_SHOT", "continuous": "RUN_MODE_DAEMON" },
        },
    ))]
    run_mode: RunMode,

    /// The version of `tbot`.
    #[schemars(example = &"0.1.0", regex(pattern = r"^[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}(-(alpha|beta|rc|dev)(\.[0-9]{1,4})?)?$"))]
    #[schemars(extend(
        "x-source" = { "build": "version" },
        "x-reason" = "Tells which versions are in use, and so which may be dropped and whether fixes arrive.",
        "x-since" = 1,
        "x-wire" = { "field": 2, "name": "version" },
    ))]
    version: String,

    /// The join method that is configured, whether in the file, by a flag or variable, or in the join URI.
    #[schemars(example = &"github")]
    #[schemars(extend(
        "x-source" = { "config": "/onboarding/join_method" },
        "x-reason" = "Tells which platforms machines join from, and so which join methods deserve work.",
        "x-since" = 1,
        "x-wire" = { "field": 3, "name": "joinType" },
    ))]
    join_type: JoinMethod,

    /// The program that starts `tbot` for its user, where one says that it does: a listed one by its name, any other as
    /// `other`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Helper", example = &"gha:teleport-actions/auth")]
    #[schemars(extend(
        "x-source" = { "env": "_TBOT_TELEMETRY_HELPER", "unlisted": "other" },
        "x-reason" = "Tells how many starts come through an integration that we maintain, and through which.",
        "x-since" = 1,
        "x-wire" = { "field": 4, "name": "helper" },
    ))]
    helper: Option<Helper>,

    /// The version of that program, where it is a listed one and its version has this form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", example = &"v1.2.3", regex(pattern = r"^v?[0-9]{1,4}(\.[0-9]{1,4}){0,2}$"))]
    #[schemars(extend(
        "x-source" = { "env": "_TBOT_TELEMETRY_HELPER_VERSION", "beside": "helper" },
        "x-reason" = "Tells which versions of our integrations are in use.",
        "x-since" = 1,
        "x-wire" = { "field": 5, "name": "helperVersion" },
    ))]
    helper_version: Option<String>,

    /// How many entries `services` and `outputs` have together. The wire carries those that are in none of the three
    /// classes below.
    #[schemars(example = 4, range(min = 0, max = 2_147_483_647))]
    #[schemars(extend(
        "x-source" = { "count": ["/services", "/outputs"] },
        "x-reason" = "Tells how much one agent does.",
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

    /// How many of them give database access.
    #[schemars(example = 1, range(min = 0, max = 2_147_483_647))]
    #[schemars(extend(
        "x-source" = { "count": ["/services", "/outputs"], "access": "database" },
        "x-reason" = "Tells how far Machine ID is used for databases.",
        "x-since" = 1,
        "x-wire" = { "field": 7, "name": "destinationsDatabase" },
    ))]
    destinations_configured_database_access: u32,

    /// How many of them give Kubernetes access.
    #[schemars(example = 1, range(min = 0, max = 2_147_483_647))]
    #[schemars(extend(
        "x-source" = { "count": ["/services", "/outputs"], "access": "kubernetes" },
        "x-reason" = "Tells how far Machine ID is used for Kubernetes.",
        "x-since" = 1,
        "x-wire" = { "field": 8, "name": "destinationsKubernetes" },
    ))]
    destinations_configured_kubernetes_access: u32,

    /// How many of them give application access.
    #[schemars(example = 1, range(min = 0, max = 2_147_483_647))]
    #[schemars(extend(
        "x-source" = { "count": ["/services", "/outputs"], "access": "application" },
        "x-reason" = "Tells how far Machine ID is used for applications.",
        "x-since" = 1,
        "x-wire" = { "field": 9, "name": "destinationsApplication" },
    ))]
    destinations_configured_application_access: u32,
}

string_enum! {
    /// Whether the agent ends or keeps running.
    pub enum RunMode {
        /// It writes its outputs once and ends.
        OneShot = "one-shot",
        /// It keeps running and renews its outputs.
        Continuous = "continuous",
    }
}

string_enum! {
    /// A program that starts `tbot` for its user. To list another, add a row here and raise the event's version.
    pub enum Helper {
        /// The GitHub action `teleport-actions/auth`.
        Auth = "gha:teleport-actions/auth",
        /// The GitHub action `teleport-actions/auth-k8s`.
        AuthK8s = "gha:teleport-actions/auth-k8s",
        /// The GitHub action `teleport-actions/auth-application`.
        AuthApplication = "gha:teleport-actions/auth-application",
        /// Any other; its name is not sent.
        Other = "other",
    }
}
