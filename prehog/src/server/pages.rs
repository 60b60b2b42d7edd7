//! The report on a listener of its own: the same page as `prehog report`, over fixed whole weeks. Depends on axum and
//! the report.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tokio::sync::Semaphore;

use super::Options;
use crate::clock::Clock;
use crate::report::{Format, Report, Span, make};
use crate::store::{StoreError, StoreUrl, settled_day};

/// Nothing is loaded from anywhere, and nothing runs.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

#[derive(Clone)]
struct Pages {
    store: StoreUrl,
    clock: Clock,
    min_group: u64,
    /// One report is made at a time: many readers cost no more than one.
    turn: Arc<Semaphore>,
}

pub(super) fn router(store: StoreUrl, options: &Options) -> Router {
    let pages = Pages {
        store,
        clock: Arc::clone(&options.clock),
        min_group: options.min_group,
        turn: Arc::new(Semaphore::new(1)),
    };
    Router::new()
        .route("/", get(|State(pages): State<Pages>| pages.answer(Format::Html)))
        .route("/report.json", get(|State(pages): State<Pages>| pages.answer(Format::Json)))
        .route("/report.csv", get(|State(pages): State<Pages>| pages.answer(Format::Csv)))
        .with_state(pages)
}

impl Pages {
    async fn answer(self, format: Format) -> Response {
        let Ok(turn) = Arc::clone(&self.turn).acquire_owned().await else {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        };
        let made = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            self.make()
        });
        match made.await {
            Ok(Ok(report)) => {
                let headers = [
                    (header::CONTENT_TYPE, format.media_type()),
                    (header::CONTENT_SECURITY_POLICY, POLICY),
                    (header::CACHE_CONTROL, "no-cache"),
                    (header::REFERRER_POLICY, "no-referrer"),
                    (HeaderName::from_static("x-content-type-options"), "nosniff"),
                ];
                (headers, report.render(format)).into_response()
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "no report can be made");
                (StatusCode::SERVICE_UNAVAILABLE, "the store is not available\n").into_response()
            }
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }

    fn make(&self) -> Result<Report, StoreError> {
        let span = Span::finished(settled_day((self.clock)()));
        make(&mut *self.store.open()?, span, self.min_group)
    }
}
