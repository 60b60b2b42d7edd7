//! Reports on weekly counts of starts, without groups that are too small, as HTML, JSON and CSV. Depends on `start`, `day`
//! and the counts of a store; never sees an event.
//!
//! Small groups are hidden week by week, and everything else is computed from what remains: see [`suppression`].

mod chart;
mod csv;
mod html;
mod model;
mod render;
mod suppression;

pub use model::{Count, DEFAULT_WEEKS, NOTES, Report, Row, Table, WeekRange};
pub use render::Format;
