//! The Connect service that receives events: validates, stores, and acknowledges each of them. Depends on `validation`,
//! `store` and `metrics`. Never logs any part of a request, and keeps nothing but the validated event.

use std::io::Read;
use std::sync::Arc;

use axum::body::Bytes;
use connectrpc::interceptor::{UnaryRequest, UnaryResponse};
use connectrpc::{
    CodecFormat, CompressionProvider, CompressionRegistry, ConnectError, ConnectRpcService, ErrorCode,
    GzipProvider, Interceptor, Limits, Next, RequestContext, Response, ServiceRequest, ServiceResult,
};

use crate::clock::Clock;
use crate::malformed::JsonFields;
use crate::metrics::{Limit, Metrics};
use crate::store::{WriteError, Writer};
use crate::validation::{EventValidator, InvalidEvent};
use crate::wire::{
    SubmitTbotEventRequest, SubmitTbotEventResponse, TbotReportingService, TbotReportingServiceServer,
};

/// The maximum size of a body, both before and after decompression.
pub const MAX_BODY: usize = 16 * 1024;

/// Receives events.
pub struct Ingest {
    /// Validates the events.
    pub validator: EventValidator,
    /// Stores the events. With `None`, events are acknowledged without being stored, for benchmarks.
    pub writer: Option<Writer>,
    /// Counts the events.
    pub metrics: Arc<Metrics>,
    /// The receiver's clock.
    pub clock: Clock,
}

impl Ingest {
    /// Converts this into a service of an HTTP server.
    pub fn service(self) -> ConnectRpcService<TbotReportingServiceServer<Self>> {
        let metrics = Arc::clone(&self.metrics);
        let gzip = CountingGzip { gzip: GzipProvider::new(), metrics: Arc::clone(&metrics) };
        let limits = Limits::default().with_max_request_body_size(MAX_BODY).with_max_message_size(MAX_BODY);
        let json_fields = JsonFields::new(self.validator.schema());
        ConnectRpcService::new(TbotReportingServiceServer::new(self))
            .with_limits(limits)
            .with_compression(CompressionRegistry::new().register(gzip))
            .with_interceptor(InvalidEvents { metrics, json_fields })
    }
}

impl TbotReportingService for Ingest {
    async fn submit_tbot_event<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, SubmitTbotEventRequest>,
    ) -> ServiceResult<impl connectrpc::Encodable<SubmitTbotEventResponse> + Send + use<'a>> {
        let submission = self.validator.validate(request.view(), (self.clock)()).map_err(invalid_argument)?;
        if let Some(writer) = &self.writer {
            writer.store(submission).await.map_err(|error| match error {
                WriteError::Busy | WriteError::Full => ConnectError::resource_exhausted(error.to_string()),
                WriteError::Unavailable => ConnectError::unavailable(error.to_string()),
            })?;
        }
        Response::ok(SubmitTbotEventResponse::default())
    }
}

/// Decompresses a body, and counts one that is too large afterwards. The server counts one that is too large before.
struct CountingGzip {
    gzip: GzipProvider,
    metrics: Arc<Metrics>,
}

impl CompressionProvider for CountingGzip {
    fn name(&self) -> &'static str {
        self.gzip.name()
    }

    fn compress(&self, data: &[u8]) -> Result<Bytes, ConnectError> {
        self.gzip.compress(data)
    }

    fn decompressor<'a>(&self, data: &'a [u8]) -> Result<Box<dyn Read + 'a>, ConnectError> {
        self.gzip.decompressor(data)
    }

    fn decompress_with_limit(&self, data: &[u8], max_size: usize) -> Result<Bytes, ConnectError> {
        self.gzip.decompress_with_limit(data, max_size).inspect_err(|error| {
            if error.code == ErrorCode::ResourceExhausted {
                self.metrics.count_rejected(Limit::Size);
            }
        })
    }
}

fn invalid_argument(error: InvalidEvent) -> ConnectError {
    ConnectError::invalid_argument(error.to_string()).with_source(error)
}

/// Counts invalid events, and adds the name of the invalid field to the error of a message that could not be parsed.
struct InvalidEvents {
    metrics: Arc<Metrics>,
    json_fields: JsonFields,
}

#[connectrpc::async_trait]
impl Interceptor for InvalidEvents {
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
            && let Some(invalid) = source.downcast_ref::<InvalidEvent>()
        {
            self.metrics.count_invalid(&invalid.reason);
            return Err(error);
        }
        let invalid = match format {
            CodecFormat::Json => self.json_fields.explain(&body),
            _ => InvalidEvent::malformed("must be a SubmitTbotEventRequest in protobuf"),
        };
        self.metrics.count_invalid(&invalid.reason);
        Err(invalid_argument(invalid))
    }
}
