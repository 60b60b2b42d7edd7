//! The Connect service that takes events: checks each, has it stored, and answers. Depends on `check`, `store` and
//! `metrics`. It logs nothing of a request, and keeps nothing of it but what was checked.

use std::sync::Arc;

use connectrpc::{
    CodecFormat, CompressionRegistry, ConnectError, ConnectRpcService, ErrorCode, GzipProvider, Interceptor,
    Limits, Next, RequestContext, Response, ServiceRequest, ServiceResult,
};

use connectrpc::interceptor::{UnaryRequest, UnaryResponse};

use crate::check::{Checks, Refusal, malformed};
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::store::{NotStored, Writer};
use crate::wire::{
    SubmitTbotEventRequest, SubmitTbotEventResponse, TbotReportingService, TbotReportingServiceServer,
};

/// The largest body, before and after it is decompressed.
pub const LARGEST_BODY: usize = 16 * 1024;

/// What takes one event.
pub struct Ingest {
    /// The event's checks.
    pub checks: Checks,
    /// Where events go; none answers without storing, which only a benchmark wants.
    pub writer: Option<Writer>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The receiver's time.
    pub clock: Clock,
}

impl Ingest {
    /// The service, as a part of an HTTP server.
    pub fn service(self) -> ConnectRpcService<TbotReportingServiceServer<Self>> {
        let metrics = Arc::clone(&self.metrics);
        let limits = Limits::default()
            .with_max_request_body_size(LARGEST_BODY)
            .with_max_message_size(LARGEST_BODY)
            .with_element_memory_limit(4 * LARGEST_BODY);
        ConnectRpcService::new(TbotReportingServiceServer::new(self))
            .with_limits(limits)
            .with_compression(CompressionRegistry::new().register(GzipProvider::new()))
            .with_interceptor(Refusals { metrics })
    }
}

impl TbotReportingService for Ingest {
    async fn submit_tbot_event<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, SubmitTbotEventRequest>,
    ) -> ServiceResult<impl connectrpc::Encodable<SubmitTbotEventResponse> + Send + use<'a>> {
        let submission = self.checks.check(request.view(), (self.clock)()).map_err(refused)?;
        if let Some(writer) = &self.writer {
            writer.store(submission).await.map_err(|error| match error {
                NotStored::Busy => ConnectError::resource_exhausted(error.to_string()),
                NotStored::Unavailable => ConnectError::unavailable(error.to_string()),
            })?;
        }
        Response::ok(SubmitTbotEventResponse::default())
    }
}

fn refused(refusal: Refusal) -> ConnectError {
    ConnectError::invalid_argument(refusal.to_string()).with_source(refusal)
}

/// Counts what is refused, and says which field is why a message could not be read.
struct Refusals {
    metrics: Arc<Metrics>,
}

#[connectrpc::async_trait]
impl Interceptor for Refusals {
    async fn intercept_unary(
        &self,
        request: UnaryRequest,
        next: Next<'_>,
    ) -> Result<UnaryResponse, ConnectError> {
        let (body, format) = (request.payload.bytes().clone(), request.payload.format());
        let error = match next.run(request).await {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        if error.code != ErrorCode::InvalidArgument {
            return Err(error);
        }
        if let Some(source) = error.source_arc()
            && let Some(refusal) = source.downcast_ref::<Refusal>()
        {
            self.metrics.refuse(&refusal.reason);
            return Err(error);
        }
        let refusal = match format {
            CodecFormat::Json => malformed(&body),
            _ => Refusal {
                reason: "malformed".to_owned(),
                field: "body".to_owned(),
                why: "must be the protobuf of a SubmitTbotEventRequest".to_owned(),
            },
        };
        self.metrics.refuse(&refusal.reason);
        Err(refused(refusal))
    }
}
