//! The messages of prehog's wire and the service that takes them: `cargo xtask proto` makes them from
//! `proto/prehog/v1alpha/tbot.proto`. Depends on buffa and connectrpc only.

#[expect(
    unreachable_pub,
    clippy::allow_attributes_without_reason,
    clippy::use_self,
    clippy::unused_trait_names,
    clippy::semicolon_if_nothing_returned,
    rust_2018_idioms,
    reason = "generated"
)]
#[rustfmt::skip]
mod generated;

pub use generated::prehog::v1alpha::{
    RunMode, SubmitTbotEventRequest, SubmitTbotEventRequestView, SubmitTbotEventResponse,
    TbotReportingService, TbotReportingServiceServer, TbotStartEvent, TbotStartEventView,
};

use generated::prehog::v1alpha::__buffa::view::oneof::submit_tbot_event_request::Event;
use serde_json::Value;

/// The event that a start is.
pub type StartEventView<'a> = TbotStartEventView<'a>;

/// The start in a request, where there is one.
pub fn start_of<'r, 'a>(request: &'r SubmitTbotEventRequestView<'a>) -> Option<&'r StartEventView<'a>> {
    request.event.as_ref().map(|Event::Start(start)| &**start)
}

/// What a field of Connect JSON may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// A number of 32 bits, or its digits as a text.
    Count,
    /// The name or the number of a run mode.
    RunMode,
    /// A time as RFC 3339 writes it.
    Time,
    /// An object.
    Message,
}

/// Every field that is read, as a pointer into the body, and what it may be; an object before what it holds.
pub const FIELDS: [(&str, Kind); 13] = [
    ("", Kind::Message),
    ("/distinctId", Kind::Text),
    ("/timestamp", Kind::Time),
    ("/start", Kind::Message),
    ("/start/runMode", Kind::RunMode),
    ("/start/version", Kind::Text),
    ("/start/joinType", Kind::Text),
    ("/start/helper", Kind::Text),
    ("/start/helperVersion", Kind::Text),
    ("/start/destinationsOther", Kind::Count),
    ("/start/destinationsDatabase", Kind::Count),
    ("/start/destinationsKubernetes", Kind::Count),
    ("/start/destinationsApplication", Kind::Count),
];

impl Kind {
    /// What it is, in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Count => "a whole number from 0 to 2147483647",
            Self::RunMode => "RUN_MODE_ONE_SHOT or RUN_MODE_DAEMON",
            Self::Time => "a time such as 2026-11-22T00:00:00Z",
            Self::Message => "an object",
        }
    }

    /// Whether a value of JSON is one; null stands for what is absent.
    pub fn holds(self, value: &Value) -> bool {
        use buffa::Enumeration as _;
        let is_mode = |number: i64| i32::try_from(number).ok().and_then(RunMode::from_i32).is_some();
        match (self, value) {
            (_, Value::Null) => true,
            (Self::Text, value) => value.is_string(),
            (Self::Message, value) => value.is_object(),
            (Self::Time, value) => value.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok()),
            (Self::Count, Value::String(text)) => text.parse::<i32>().is_ok(),
            (Self::Count, value) => value.as_f64().is_some_and(|number| {
                number.fract() == 0.0 && (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&number)
            }),
            (Self::RunMode, Value::String(text)) => RunMode::from_proto_name(text).is_some(),
            (Self::RunMode, value) => value.as_i64().is_some_and(is_mode),
        }
    }
}
