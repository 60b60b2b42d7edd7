//! The value of a field of a start, as it is on the wire.

/// The value of a field. A field that was not sent has the number 0 or an empty string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireValue<'a> {
    /// The number of an enum's value.
    Enum(i32),
    /// A string.
    String(&'a str),
    /// An integer.
    Count(i32),
}
