//! The report over HTTP, as `prehog report` writes it by default: over the last complete weeks. Depends on axum and the
//! report.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tokio::sync::Semaphore;

use super::options::Options;
use crate::clock::Clock;
use crate::report::{Format, Report, WeekRange};
use crate::store::{StoreError, StoreUrl, first_open_day};

/// Forbids loading anything and running scripts.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
                                       form-action 'none'; frame-ancestors 'none'";

#[derive(Clone)]
struct ReportPages {
    store: StoreUrl,
    clock: Clock,
    min_group: u64,
    /// Has one permit, so that only one report is built at a time, however many readers there are.
    permit: Arc<Semaphore>,
}

/// Returns the routes of the report listener.
pub(super) fn routes(store: StoreUrl, options: &Options) -> Router {
    let pages = ReportPages {
        store,
        clock: Arc::clone(&options.clock),
        min_group: options.min_group,
        permit: Arc::new(Semaphore::new(1)),
    };
    Router::new()
        .route("/", get(|State(pages): State<ReportPages>| pages.respond(Format::Html)))
        .route("/report.json", get(|State(pages): State<ReportPages>| pages.respond(Format::Json)))
        .route("/report.csv", get(|State(pages): State<ReportPages>| pages.respond(Format::Csv)))
        .with_state(pages)
}

impl ReportPages {
    async fn respond(self, format: Format) -> Response {
        let Ok(permit) = Arc::clone(&self.permit).acquire_owned().await else {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        };
        let report = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            self.build()
        });
        match report.await {
            Ok(Ok(report)) => {
                let headers = [
                    (header::CONTENT_TYPE, format.media_type()),
                    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
                    (header::CACHE_CONTROL, "no-cache"),
                    (header::REFERRER_POLICY, "no-referrer"),
                    (HeaderName::from_static("x-content-type-options"), "nosniff"),
                ];
                (headers, report.render(format)).into_response()
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "cannot build the report");
                (StatusCode::SERVICE_UNAVAILABLE, "the store is unavailable\n").into_response()
            }
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }

    fn build(&self) -> Result<Report, StoreError> {
        let weeks = WeekRange::last_complete(first_open_day((self.clock)()));
        Report::from_store(&mut *self.store.open_existing()?, weeks, self.min_group)
    }
}
