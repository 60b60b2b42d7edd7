//! The messages of the wire protocol and the service that receives them. `cargo xtask proto` generates them from
//! `proto/prehog/v1alpha/tbot.proto`, which it generates from the declarations of the event. Depends on buffa and connectrpc.

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
#[rustfmt::skip]
mod start_fields;
mod value;

pub use generated::prehog::v1alpha::{
    SubmitTbotEventRequest, SubmitTbotEventRequestView, SubmitTbotEventResponse,
    TBOT_REPORTING_SERVICE_SUBMIT_TBOT_EVENT_SPEC, TbotReportingService, TbotReportingServiceServer,
    TbotStartEvent, TbotStartEventView,
};
pub use start_fields::{PROPERTIES, start_fields};
pub use value::WireValue;

use generated::prehog::v1alpha::__buffa::view::oneof::submit_tbot_event_request::Event;

/// Returns the start event in a request, or `None` if the request has no event that this version knows.
pub fn start_event<'r, 'a>(
    request: &'r SubmitTbotEventRequestView<'a>,
) -> Option<&'r TbotStartEventView<'a>> {
    request.event.as_ref().map(|Event::Start(start)| &**start)
}
