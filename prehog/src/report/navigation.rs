//! Links of a page that is served: to other weeks, and to the other formats. Pure. All of them are relative, so that they work
//! behind a proxy that serves the report under another path.

use maud::{Markup, html};

use super::model::Report;
use super::weeks::{MAX_WEEKS, WeekRange};
use crate::day::{Day, Week};

/// The numbers of weeks up to the last complete one for which there are links.
const LATEST: [i32; 3] = [4, 12, 52];

/// The links of a page that is served.
#[derive(Clone, Copy, Debug)]
pub struct Navigation {
    /// The weeks of the page.
    pub weeks: WeekRange,
    /// The last complete week.
    pub latest: Week,
}

impl Navigation {
    pub(super) fn markup(self, report: &Report) -> Markup {
        let Self { weeks, latest } = self;
        let len = weeks.len().min(MAX_WEEKS);
        let later = WeekRange::ending(weeks.last.plus(len).min(latest), len);
        html! {
            nav aria-label="Weeks and formats" {
                ul {
                    @for len in LATEST {
                        @let range = WeekRange::ending(latest, len);
                        li {
                            a href={ "./" (query(range)) } aria-current=[(range == weeks).then_some("page")] {
                                (len) " weeks"
                            }
                        }
                    }
                    li { a href={ "./" (query(weeks.before())) } { "Earlier" } }
                    @if weeks.last < latest {
                        li { a href={ "./" (query(later)) } { "Later" } }
                    }
                    li { a href={ "report.csv" (query(weeks)) } { "CSV" } }
                    li { a href={ "report.json" (query(weeks)) } { "JSON" } }
                }
                form {
                    (date("since", "From", report.since, latest))
                    (date("until", "to", report.until, latest))
                    button { "Show" }
                }
            }
        }
    }
}

fn date(name: &str, label: &str, value: Day, latest: Week) -> Markup {
    html! {
        label {
            (label) " "
            input type="date" name=(name) value=(value) max=(latest.last_day()) required;
        }
    }
}

fn query(weeks: WeekRange) -> String {
    format!("?since={}&until={}", weeks.first_day(), weeks.last_day())
}
