//! Reports on weekly counts of starts, without groups that are too small, as HTML, JSON and CSV. Depends on `start`, `day`
//! and the counts of a store; never sees an event.
//!
//! The counts of each week are rounded down, and everything else is computed from what remains: see [`rounding`]. Which
//! sections a report has follows from the declarations of the event: those that answer why each property is collected.

mod chart;
mod csv;
mod html;
mod model;
mod navigation;
mod render;
mod rounding;
mod section;
mod weeks;

pub use model::{Before, Count, DEFAULT_MIN_GROUP, NOTES, Report};
pub use navigation::Navigation;
pub use render::Format;
pub use section::{Answer, Content, CrossRow, CrossTable, Group, MAX_ROWS, Row, Section, Table};
pub use weeks::{DEFAULT_WEEKS, MAX_WEEKS, WeekRange, WeekRangeError};
