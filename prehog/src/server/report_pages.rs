//! The report over HTTP, as `prehog report` writes it: by default over the last complete weeks, or over those that the query
//! selects. Depends on axum and the report.

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tokio::sync::Semaphore;

use super::options::Options;
use crate::clock::Clock;
use crate::day::{Day, ParseDayError};
use crate::report::{Format, Navigation, Report, WeekRange, WeekRangeError};
use crate::store::{StoreError, StoreUrl, first_open_day};

/// Forbids loading anything, running scripts, and sending a form elsewhere.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
                                       form-action 'self'; frame-ancestors 'none'";

const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

#[derive(Clone)]
struct ReportPages {
    store: StoreUrl,
    clock: Clock,
    min_group: u64,
    /// Has one permit, so that only one report is built at a time, however many readers there are.
    permit: Arc<Semaphore>,
}

/// A query that does not select complete weeks.
#[derive(Debug, thiserror::Error)]
enum QueryError {
    #[error("{name}: {error}")]
    Date { name: &'static str, error: ParseDayError },
    #[error("unknown parameter; a report accepts only since and until")]
    UnknownParameter,
    #[error("{0} is set twice")]
    SetTwice(&'static str),
    #[error(transparent)]
    Weeks(#[from] WeekRangeError),
    #[error(
        "the week of {until} is not over before {shown_from}, 01:00 UTC; the last complete week ends on {last}"
    )]
    NotShown { until: Day, shown_from: Day, last: Day },
}

/// Returns the routes of the report listener.
pub(super) fn routes(store: StoreUrl, options: &Options) -> Router {
    let pages = ReportPages {
        store,
        clock: Arc::clone(&options.clock),
        min_group: options.min_group,
        permit: Arc::new(Semaphore::new(1)),
    };
    let route = |format| {
        get(move |State(pages): State<ReportPages>, RawQuery(query): RawQuery| pages.respond(format, query))
    };
    Router::new()
        .route("/", route(Format::Html))
        .route("/report.json", route(Format::Json))
        .route("/report.csv", route(Format::Csv))
        .with_state(pages)
}

impl ReportPages {
    async fn respond(self, format: Format, query: Option<String>) -> Response {
        let today = first_open_day((self.clock)());
        let weeks = match select(query.as_deref().unwrap_or_default(), today) {
            Ok(weeks) => weeks,
            Err(error) => {
                let body = format.render_message("The report cannot be shown", &error.to_string());
                return (StatusCode::BAD_REQUEST, headers(message_type(format)), body).into_response();
            }
        };
        let Ok(permit) = Arc::clone(&self.permit).acquire_owned().await else {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        };
        let report = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            self.build(weeks, today)
        });
        match report.await {
            Ok(Ok(report)) => {
                let navigation = Navigation { weeks, latest: today.week().plus(-1) };
                (headers(format.media_type()), report.render_with(format, Some(&navigation))).into_response()
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "cannot build the report");
                let body = "the store is unavailable\n";
                (StatusCode::SERVICE_UNAVAILABLE, headers(PLAIN_TEXT), body).into_response()
            }
            Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, headers(PLAIN_TEXT)).into_response(),
        }
    }

    fn build(&self, weeks: WeekRange, today: Day) -> Result<Report, StoreError> {
        Report::from_store(&mut *self.store.open_existing()?, weeks, self.min_group, today)
    }
}

/// Returns the weeks that a query selects. Only complete ones: of a week that is not over, a reader could find out exact numbers
/// with fake events.
fn select(query: &str, today: Day) -> Result<WeekRange, QueryError> {
    let (mut since, mut until) = (None, None);
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let (name, day) = match &*name {
            "since" => ("since", &mut since),
            "until" => ("until", &mut until),
            _ => return Err(QueryError::UnknownParameter),
        };
        let parsed = value.parse::<Day>().map_err(|error| QueryError::Date { name, error })?;
        if day.replace(parsed).is_some() {
            return Err(QueryError::SetTwice(name));
        }
    }
    let last = today.week().plus(-1).last_day();
    if let Some(until) = until.filter(|until| *until > last) {
        let shown_from = until.week().plus(1).first_day();
        return Err(QueryError::NotShown { until, shown_from, last });
    }
    Ok(WeekRange::select(since, until, today)?)
}

/// Returns the media type of a message instead of a report.
fn message_type(format: Format) -> &'static str {
    match format {
        Format::Html => format.media_type(),
        Format::Json | Format::Csv => PLAIN_TEXT,
    }
}

fn headers(media_type: &'static str) -> [(HeaderName, &'static str); 5] {
    [
        (header::CONTENT_TYPE, media_type),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::CACHE_CONTROL, "no-cache"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
    ]
}
