//! Consent: whether anonymous telemetry is on, and which input decides. A pure function of four inputs.
//!
//! It is on when at least one input says yes and none says no. Off is the default.

use std::ffi::OsStr;
use std::fmt;

use crate::environment::Environment;

/// Set to a true value, it says yes; to anything else, no.
pub(crate) const TELEPORT_ANONYMOUS_TELEMETRY: &str = "TELEPORT_ANONYMOUS_TELEMETRY";

/// Set to anything but `0` or `false`, it says no (<https://consoledonottrack.com>).
pub(crate) const DO_NOT_TRACK: &str = "DO_NOT_TRACK";

/// An input that has a say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// The flag `--anonymous-telemetry-opt-in`.
    Flag,
    /// `anonymous_telemetry_opt_in` in the configuration.
    Configuration,
    /// The variable `TELEPORT_ANONYMOUS_TELEMETRY`.
    Variable,
    /// The variable `DO_NOT_TRACK`.
    DoNotTrack,
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Flag => "--anonymous-telemetry-opt-in",
            Self::Configuration => "anonymous_telemetry_opt_in",
            Self::Variable => TELEPORT_ANONYMOUS_TELEMETRY,
            Self::DoNotTrack => DO_NOT_TRACK,
        })
    }
}

/// What an input says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vote {
    Yes,
    No,
    Nothing,
}

impl fmt::Display for Vote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Nothing => "nothing",
        })
    }
}

/// The values of all inputs. An empty variable counts as unset.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Inputs<'a> {
    pub(crate) flag: bool,
    pub(crate) configuration: Option<bool>,
    pub(crate) variable: Option<&'a OsStr>,
    pub(crate) do_not_track: Option<&'a OsStr>,
}

impl<'a> Inputs<'a> {
    pub(crate) fn gather(flag: bool, configuration: Option<bool>, environment: &'a Environment) -> Self {
        Self {
            flag,
            configuration,
            variable: environment.raw(TELEPORT_ANONYMOUS_TELEMETRY),
            do_not_track: environment.raw(DO_NOT_TRACK),
        }
    }
}

/// What one input says, and why: never its value, which may be anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ballot {
    pub(crate) input: Input,
    pub(crate) vote: Vote,
    pub(crate) because: &'static str,
}

/// Whether telemetry is on, with everything that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) on: bool,
    pub(crate) ballots: [Ballot; 4],
}

impl Decision {
    /// The inputs that decided: all that say no or, where none does, all that say yes. None where nothing says anything,
    /// and off is the default.
    pub(crate) fn decided_by(&self) -> impl Iterator<Item = Input> {
        let winner = if self.on { Vote::Yes } else { Vote::No };
        self.ballots.iter().filter(move |ballot| ballot.vote == winner).map(|ballot| ballot.input)
    }
}

/// `on: X and Y say yes`, `off: X says no`, or `off: nothing says yes`.
impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.on { "on: " } else { "off: " })?;
        let inputs: Vec<_> = self.decided_by().map(|input| input.to_string()).collect();
        let answer = if self.on { "yes" } else { "no" };
        match inputs.as_slice() {
            [] => f.write_str("nothing says yes"),
            [one] => write!(f, "{one} says {answer}"),
            many => write!(f, "{} say {answer}", many.join(" and ")),
        }
    }
}

/// Decides.
pub(crate) fn decide(inputs: &Inputs<'_>) -> Decision {
    let ballots = [
        flag(inputs.flag),
        configuration(inputs.configuration),
        variable(inputs.variable),
        do_not_track(inputs.do_not_track),
    ];
    let says = |vote| ballots.iter().any(|ballot| ballot.vote == vote);
    Decision { on: says(Vote::Yes) && !says(Vote::No), ballots }
}

/// A bool as Go's `strconv.ParseBool` reads it, and therefore the variables of Teleport's programs.
pub(crate) fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

const fn flag(given: bool) -> Ballot {
    let (vote, because) = if given { (Vote::Yes, "given") } else { (Vote::Nothing, "not given") };
    Ballot { input: Input::Flag, vote, because }
}

const fn configuration(value: Option<bool>) -> Ballot {
    let (vote, because) = match value {
        Some(true) => (Vote::Yes, "true"),
        Some(false) => (Vote::No, "false"),
        None => (Vote::Nothing, "not set"),
    };
    Ballot { input: Input::Configuration, vote, because }
}

fn variable(value: Option<&OsStr>) -> Ballot {
    let (vote, because) = match value.filter(|value| !value.is_empty()).map(OsStr::to_str) {
        None => (Vote::Nothing, "not set"),
        Some(None) => (Vote::No, "not UTF-8"),
        Some(Some(text)) => match go_bool(text) {
            Some(true) => (Vote::Yes, "set to a true value"),
            Some(false) => (Vote::No, "set to a false value"),
            None => (Vote::No, "set to what is no bool"),
        },
    };
    Ballot { input: Input::Variable, vote, because }
}

fn do_not_track(value: Option<&OsStr>) -> Ballot {
    let (vote, because) = match value.filter(|value| !value.is_empty()).map(OsStr::to_str) {
        None => (Vote::Nothing, "not set"),
        Some(Some("0" | "false")) => (Vote::Nothing, "set to `0` or `false`"),
        Some(Some(_)) => (Vote::No, "set"),
        Some(None) => (Vote::No, "not UTF-8"),
    };
    Ballot { input: Input::DoNotTrack, vote, because }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;

    fn vote_of(ballot: fn(Option<&OsStr>) -> Ballot, value: &str) -> Vote {
        ballot(Some(OsStr::new(value))).vote
    }

    #[test]
    fn teleports_variable_is_a_go_bool_and_what_is_none_says_no() {
        for yes in ["1", "t", "T", "TRUE", "true", "True"] {
            assert_eq!(vote_of(variable, yes), Vote::Yes, "{yes}");
        }
        for no in ["0", "f", "F", "FALSE", "false", "False", "tRUE", "yes", "on", "2", " 1", "1 ", "true\n"] {
            assert_eq!(vote_of(variable, no), Vote::No, "{no}");
        }
        assert_eq!(vote_of(variable, ""), Vote::Nothing);
        assert_eq!(variable(None).vote, Vote::Nothing);
    }

    #[test]
    fn do_not_track_says_no_unless_it_is_empty_0_or_false() {
        for nothing in ["", "0", "false"] {
            assert_eq!(vote_of(do_not_track, nothing), Vote::Nothing, "{nothing}");
        }
        for no in ["1", "true", "False", "FALSE", "no", "00", " 0", "0 ", " "] {
            assert_eq!(vote_of(do_not_track, no), Vote::No, "{no}");
        }
        assert_eq!(do_not_track(None).vote, Vote::Nothing);
    }

    #[test]
    fn what_is_not_utf8_says_no() {
        let value = OsString::from_vec(vec![b'1', 0xff]);
        assert_eq!(variable(Some(&value)).vote, Vote::No);
        assert_eq!(do_not_track(Some(&value)).vote, Vote::No);
    }

    #[test]
    fn the_decision_names_who_decided() {
        let said = |inputs: Inputs<'_>| decide(&inputs).to_string();
        assert_eq!(said(Inputs::default()), "off: nothing says yes");
        let flag = Inputs { flag: true, ..Inputs::default() };
        assert_eq!(said(flag), "on: --anonymous-telemetry-opt-in says yes");
        let both = Inputs { configuration: Some(true), ..flag };
        assert_eq!(said(both), "on: --anonymous-telemetry-opt-in and anonymous_telemetry_opt_in say yes");
        let refused = Inputs { do_not_track: Some(OsStr::new("1")), ..both };
        assert_eq!(said(refused), "off: DO_NOT_TRACK says no");
    }

    fn any_value() -> impl Strategy<Value = Option<OsString>> {
        const LISTED: [&str; 12] =
            ["", "0", "1", "f", "t", "false", "true", "False", "True", "FALSE", "TRUE", "yes"];
        prop_oneof![
            Just(None),
            proptest::sample::select(&LISTED[..]).prop_map(|text| Some(OsString::from(text))),
            proptest::collection::vec(any::<u8>(), 0..6).prop_map(|bytes| Some(OsString::from_vec(bytes))),
        ]
    }

    proptest! {
        /// The table of the design, written down a second time, from the values and not from the votes.
        #[test]
        fn on_exactly_where_someone_says_yes_and_no_one_no(
            flag: bool,
            configuration: Option<bool>,
            variable in any_value(),
            do_not_track in any_value(),
        ) {
            let bytes = |value: &Option<OsString>| value.clone().unwrap_or_default().into_vec();
            let truths: [&[u8]; 6] = [b"1", b"t", b"T", b"TRUE", b"true", b"True"];
            let silent: [&[u8]; 3] = [b"", b"0", b"false"];
            let set = bytes(&variable);
            let yes = flag || configuration == Some(true) || truths.contains(&set.as_slice());
            let no = configuration == Some(false)
                || (!set.is_empty() && !truths.contains(&set.as_slice()))
                || !silent.contains(&bytes(&do_not_track).as_slice());

            let inputs = Inputs {
                flag,
                configuration,
                variable: variable.as_deref(),
                do_not_track: do_not_track.as_deref(),
            };
            let decision = decide(&inputs);
            prop_assert_eq!(decision.on, yes && !no);
            prop_assert!(decision.decided_by().next().is_some() || !decision.on);
        }

        /// Taking a yes away, or adding a no, never turns it on.
        #[test]
        fn a_no_always_wins(
            flag: bool,
            configuration: Option<bool>,
            variable in any_value(),
            do_not_track in any_value(),
        ) {
            let inputs = Inputs {
                flag,
                configuration,
                variable: variable.as_deref(),
                do_not_track: do_not_track.as_deref(),
            };
            for refused in [
                Inputs { do_not_track: Some(OsStr::new("1")), ..inputs },
                Inputs { variable: Some(OsStr::new("0")), ..inputs },
                Inputs { configuration: Some(false), ..inputs },
            ] {
                prop_assert!(!decide(&refused).on);
            }
            let less = Inputs { flag: false, ..inputs };
            prop_assert!(decide(&inputs).on || !decide(&less).on);
        }
    }
}
