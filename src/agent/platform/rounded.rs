//! Displays durations for people.

use std::fmt;
use std::time::Duration;

/// Displays a duration rounded: `200ms`, `5.9s`, `42s`, `18m40s`, `2h5m`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rounded(pub(crate) Duration);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, tenths) = (self.0.as_secs(), self.0.subsec_millis() / 100);
        let (minutes, hours) = (seconds / 60, seconds / 3600);
        match seconds {
            0 => write!(f, "{}ms", self.0.as_millis()),
            1..10 if tenths > 0 => write!(f, "{seconds}.{tenths}s"),
            1..60 => write!(f, "{seconds}s"),
            60..3600 if seconds % 60 > 0 => write!(f, "{minutes}m{}s", seconds % 60),
            60..3600 => write!(f, "{minutes}m"),
            _ if minutes % 60 > 0 => write!(f, "{hours}h{}m", minutes % 60),
            _ => write!(f, "{hours}h"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn displayed_durations_are_rounded() {
        let rounded = |millis| Rounded(Duration::from_millis(millis)).to_string();
        assert_eq!(
            [rounded(200), rounded(5918), rounded(2000), rounded(42_700)],
            ["200ms", "5.9s", "2s", "42s"]
        );
        let long = [rounded(1_120_000), rounded(1_200_000), rounded(7_500_000), rounded(7_200_000)];
        assert_eq!(long, ["18m40s", "20m", "2h5m", "2h"]);
    }
}
