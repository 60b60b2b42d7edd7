//! Reports on weekly counts of starts, without groups that are too small, as HTML, JSON and CSV. Depends on `start`, `day`
//! and the counts of a store; never sees an event.
//!
//! The counts of each week are rounded down, and everything else is computed from what remains: see [`rounding`].

mod chart;
mod csv;
mod html;
mod model;
mod render;
mod rounding;

pub use model::{Count, DEFAULT_MIN_GROUP, DEFAULT_WEEKS, MAX_ROWS, NOTES, Report, Row, Table, WeekRange};
pub use render::Format;
